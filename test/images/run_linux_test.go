package images

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/stretchr/testify/require"
)

const (
	// patience bounds every wait for something that takes milliseconds.
	patience = 30 * time.Second
	// pollEvery is how often a wait looks.
	pollEvery = 20 * time.Millisecond
	// nobody is the uid and gid of the images' user.
	nobody = 65532
)

// TestTheFunctionRunsWithNothingButItsImage starts the entrypoint with the
// image's files as all there is, as the image's user, and stops it.
func TestTheFunctionRunsWithNothingButItsImage(t *testing.T) {
	image, err := Build(t.Context(), filepath.Join(source(t), "function/cmd/onefire"), []string{here})
	require.NoError(t, err)
	root := t.TempDir()
	files := mutate.Extract(image.Platforms[0].Image)
	defer files.Close()
	unpack(t, func() (io.ReadCloser, error) { return files, nil }, root)
	require.Equal(t, []string{"etc/group", "etc/passwd", certificates, "ko-app/onefire", "licenses/LICENSE", notices}, regular(t, root), "no shell, no tools, no source")

	api := httptest.NewServer(http.NotFoundHandler())
	defer api.Close()
	kubeconfig := `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c"}}],` +
		`"clusters":[{"name":"c","cluster":{"server":"` + api.URL + `"}}]}`
	require.NoError(t, os.WriteFile(filepath.Join(root, "kubeconfig"), []byte(kubeconfig), 0o644))
	address := freeAddress(t)
	config, err := image.Platforms[0].Image.ConfigFile()
	require.NoError(t, err)
	function := exec.CommandContext(t.Context(), config.Config.Entrypoint[0])
	function.Env = append(slices.Clone(config.Config.Env), "KUBECONFIG=/kubeconfig", "AUDIT_SINK="+api.URL, "LISTEN_ADDRESS="+address)
	function.Dir = "/"
	function.SysProcAttr = inside(root)
	log := &syncBuffer{}
	function.Stderr = log
	require.NoError(t, function.Start())
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + address + "/health/liveness")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}, patience, pollEvery, "%s", log)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", function.Process.Pid))
	require.NoError(t, err)
	if os.Getuid() == 0 {
		require.Contains(t, string(status), "Uid:\t65532\t65532\t65532\t65532")
	}
	require.NoError(t, function.Process.Signal(syscall.SIGTERM))
	require.NoError(t, function.Wait(), "%s", log)
	require.Contains(t, log.String(), `"stopped"`)
	version := config.Config.Labels["org.opencontainers.image.version"]
	require.NotEmpty(t, version)
	require.Contains(t, log.String(), `"version":"`+version+`"`, "the binary knows it, too")
}

// inside makes a process see a folder as all there is, as the images' user: by
// root's right, or in a user namespace of its own.
func inside(root string) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Chroot: root, Pdeathsig: syscall.SIGKILL,
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true},
	}
	if os.Getuid() != 0 {
		a.Cloneflags = syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getgid(), Size: 1}}
	}
	return a
}
