package funccli

import (
	"archive/tar"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/stretchr/testify/require"
)

// TestFuncRunRunsTheFunction does on a clean copy what docs/install.md says, and
// stops it as Ctrl-C does.
func TestFuncRunRunsTheFunction(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, checkout(t.Context(), dir))
	address := freeAddress(t)
	run := exec.Command(cli, "run", "--builder=host", "--address", address)
	run.Dir, run.Env = dir, environment(t, "func-run", "REPLY=summary")
	log := start(t, run)
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	require.Eventually(t, func() bool {
		return strings.Contains(log.String(), "Function running on "+address) || len(ended) > 0
	}, patience, pollEvery)
	require.Empty(t, ended, "%s", log)
	requireSettles(t, address, "func-run", log)

	invoke := exec.Command(cli, "invoke", "--target", "http://"+address, "--format", "cloudevent", "--type", "io.prometheus.alerts.v1",
		"--id", "3", "--content-type", "application/json", "--file", "mapping/testdata/alertmanager/am0.34.0-first.json")
	invoke.Dir, invoke.Env = dir, run.Env
	out, err := invoke.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "onefire.summary.v1")
	require.Equal(t, 4, strings.Count(string(out), `"decision": "new"`), "%s", out)

	// The terminal sends Ctrl-C to func and to the function alike; func alone
	// must be enough.
	require.NoError(t, run.Process.Signal(os.Interrupt))
	require.NoError(t, <-ended, "%s", log)
	// The function is func's child, and ours when func is gone: to be reaped.
	require.Eventually(t, func() bool {
		_, err := syscall.Wait4(-run.Process.Pid, nil, syscall.WNOHANG, nil)
		return errors.Is(err, syscall.ECHILD)
	}, patience, pollEvery, "func left a process behind")
	require.Contains(t, log.String(), `"msg":"stopped"`, "the function drained")
}

// TestFuncBuildMakesImagesThatRun builds images without Docker, and runs what is
// in the one for this machine: as its user, with its files alone.
func TestFuncBuildMakesImagesThatRun(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, checkout(t.Context(), dir))
	build := exec.CommandContext(t.Context(), cli, "build", "--builder=host", "--image", "dev.local/onefire:func")
	// The scaffold asks for older versions than the function, and go build must
	// be allowed to say so in its go.mod.
	build.Dir, build.Env = dir, environment(t, "func-build", "GOFLAGS=-mod=mod")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "Function built: dev.local/onefire:func")

	index, err := layout.ImageIndexFromPath(filepath.Join(dir, ".func/build/oci"))
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	var platforms []string
	var image v1.Image
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		if m.Platform.Architecture == runtime.GOARCH {
			image, err = index.Image(m.Digest)
			require.NoError(t, err)
		}
	}
	require.Equal(t, []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}, platforms)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "1000:1000", config.Config.User, "it does not run as root")
	require.Equal(t, []string{"/func/f"}, config.Config.Cmd)
	require.Equal(t, "SIGKILL", config.Config.StopSignal, "when func asks for SIGTERM, docs/install.md need not warn of it any more")

	root := t.TempDir()
	size := unpack(t, mutate.Extract(image), root)
	t.Logf("%.1f MB unpacked", float64(size)/1e6)
	data, err := os.ReadFile(kubeconfig)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "kubeconfig"), data, 0o644))
	address := freeAddress(t)
	function := exec.Command("/func/f")
	function.Env = append(slices.Clone(config.Config.Env), "LISTEN_ADDRESS="+address, "KUBECONFIG=/kubeconfig", "AUDIT_SINK="+auditURL, "REMEDIATION_NAMESPACE=func-build")
	function.Dir = "/func"
	function.SysProcAttr = inside(root, 1000)
	log := start(t, function)
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + address + "/health/readiness")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}, patience, pollEvery, "%s", log)
	requireSettles(t, address, "func-build", log)
	require.NoError(t, function.Process.Signal(syscall.SIGTERM))
	require.NoError(t, function.Wait(), "%s", log)
}

// inside makes a process see a folder as all there is, as a user without rights:
// by root's right, or in a user namespace of its own.
func inside(root string, user uint32) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user, NoSetGroups: true}}
	if os.Getuid() != 0 {
		a.Cloneflags = syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(user), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(user), HostID: os.Getgid(), Size: 1}}
	}
	return a
}

// unpack writes an image's files into a folder, and returns their size in bytes.
func unpack(t *testing.T, archive io.ReadCloser, to string) int64 {
	t.Helper()
	defer archive.Close()
	root, err := os.OpenRoot(to)
	require.NoError(t, err)
	defer func() { require.NoError(t, root.Close()) }()
	var size int64
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return size
		}
		require.NoError(t, err)
		name := strings.TrimPrefix(h.Name, "/")
		require.NotContains(t, "/"+name+"/", "/.git/")
		switch h.Typeflag {
		case tar.TypeDir:
			require.NoError(t, root.MkdirAll(name, 0o755))
		case tar.TypeReg:
			require.NoError(t, root.MkdirAll(filepath.Dir(name), 0o755))
			f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY, h.FileInfo().Mode())
			require.NoError(t, err)
			n, err := io.Copy(f, r)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			size += n
		}
	}
}
