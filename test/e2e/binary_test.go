package e2e

import (
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
	list := exec.Command("go", "list", "-deps", theFunction)
	list.Dir = "../.."
	out, err := list.Output()
	require.NoError(t, err)
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		for _, heavy := range heavyThings {
			require.False(t, dep == heavy || strings.HasPrefix(dep, strings.TrimSuffix(heavy, "/")+"/"), "the function imports %s", dep)
		}
	}
}
