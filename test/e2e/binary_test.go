package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
	"onefire/test/client"
)

// maxBinary is what the stripped function may weigh, in bytes: it is pulled and
// read at each cold start.
const maxBinary = 16 << 20

// stripped builds the function as make build does.
func stripped(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "onefire")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./function/cmd/onefire")
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

func TestTheBinaryHasNothingHeavyInIt(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "./function/cmd/onefire")
	list.Dir = "../.."
	out, err := list.Output()
	require.NoError(t, err)
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		for _, heavy := range []string{"k8s.io/client-go/kubernetes", "k8s.io/api/", "knative.dev/", "sigs.k8s.io/controller-runtime", "testing", "github.com/stretchr/testify", "onefire/test"} {
			require.False(t, dep == heavy || strings.HasPrefix(dep, strings.TrimSuffix(heavy, "/")+"/"), "the function imports %s", dep)
		}
	}
}

// BenchmarkColdStart is the time from exec to the first 2xx, with a new
// RemediationRequest and its audit events.
func BenchmarkColdStart(b *testing.B) {
	binary := stripped(b)
	w := newWorld(b, mapping.Schema202601)
	i := 0
	for b.Loop() {
		i++
		b.StopTimer()
		f := w.prepare(binary, "LOG_LEVEL=error")
		body := []byte(webhook(alert("firing", "alertname=Cold", "pod="+strings.Repeat("x", i%50+1)+time.Now().String())))
		b.StartTimer()
		require.NoError(b, f.process.Start())
		for {
			status, _, err := client.Post(b.Context(), f.url, "1", body)
			if err == nil && status == http.StatusOK {
				break
			}
			// The process under measurement is not listening yet.
			time.Sleep(time.Millisecond) // The measurement's resolution; it leaves the process the processor.
		}
		b.StopTimer()
		w.stop(f)
		b.StartTimer()
	}
	require.Len(b, w.list(), i)
}
