package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxBinary is what the stripped function may weigh, in bytes: it is pulled and
// read at each cold start.
const maxBinary = 16 << 20

const (
	theFunction    = "./function/cmd/onefire"
	theEmptyServer = "test/e2e/testdata/emptyserver/main.go"
)

// stripped builds the function as make build does.
func stripped(t testing.TB) string { return strippedCommand(t, theFunction) }

// strippedCommand builds any command so, of the packages that the function has.
func strippedCommand(t testing.TB, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "onefire")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, command)
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func TestTheBinaryIsSmall(t *testing.T) {
	info, err := os.Stat(stripped(t))
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(maxBinary))
	t.Logf("%.1f MB", float64(info.Size())/1e6)
}

// heavyThings are packages that cost each cold start and that the function can
// do without: typed objects and what is generated around them, Knative's types,
// gRPC, and tools for tests.
var heavyThings = []string{
	"k8s.io/api/", "k8s.io/client-go/kubernetes", "k8s.io/client-go/informers", "k8s.io/client-go/applyconfigurations",
	"k8s.io/apiextensions-apiserver", "sigs.k8s.io/controller-runtime", "knative.dev/", "google.golang.org/grpc",
	"testing", "github.com/stretchr/testify", "onefire/test",
}

func TestTheBinaryHasNothingHeavyInIt(t *testing.T) {
	for dep := range imported(t, "../..", theFunction) {
		for _, heavy := range heavyThings {
			require.False(t, dep == heavy || strings.HasPrefix(dep, strings.TrimSuffix(heavy, "/")+"/"), "the function imports %s", dep)
		}
	}
}

// maxTrySource is the source, in bytes, that `make run` with a cluster at hand
// compiles before it asks its question, beside the function and the source. It is
// 2.9 MB today; with SQLite it was 17.1 MB, and the wait a third longer.
const maxTrySource = 4 << 20

func TestACommandForAClusterIsCompiledQuickly(t *testing.T) {
	known, size := imported(t, "../..", theFunction, "./function/cmd/onefire-source"), 0
	for dep, own := range imported(t, "..", "./cmd/onefire-try") {
		if _, ok := known[dep]; !ok {
			size += own
		}
	}
	require.LessOrEqual(t, size, maxTrySource)
	t.Logf("%.1f MB", float64(size)/1e6)
}

// imported returns the packages that those named by patterns consist of, and how
// many bytes of Go each has.
func imported(t *testing.T, dir string, patterns ...string) map[string]int {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Dir,GoFiles"}, patterns...)...)
	list.Dir = dir
	out, err := list.Output()
	require.NoError(t, err)
	all := map[string]int{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var pkg struct {
			ImportPath, Dir string
			GoFiles         []string
		}
		require.NoError(t, decoder.Decode(&pkg))
		all[pkg.ImportPath] = 0
		for _, name := range pkg.GoFiles {
			info, err := os.Stat(filepath.Join(pkg.Dir, name))
			require.NoError(t, err)
			all[pkg.ImportPath] += int(info.Size())
		}
	}
	return all
}
