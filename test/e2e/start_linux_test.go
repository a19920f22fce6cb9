package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// maxIdle is the resident memory of a function that has nothing to do, in
// bytes, also after it had much to do.
const maxIdle = 30 << 20

func TestAnIdleFunctionIsSmall(t *testing.T) {
	w := newWorld(t, mapping.Schema202608)
	f := w.serve(w.prepare(stripped(t), "LOG_LEVEL=error"))
	fresh := resident(t, f)
	for i := range 300 {
		require.Equal(t, http.StatusOK, w.post(f, strconv.Itoa(i), webhook(firing("Idle", "api-"+strconv.Itoa(i%3)))))
	}
	used := resident(t, f)
	t.Logf("%.1f MB after the start, %.1f MB after 300 events", float64(fresh)/1e6, float64(used)/1e6)
	require.LessOrEqual(t, fresh, maxIdle)
	require.LessOrEqual(t, used, maxIdle)
}

// resident is the memory in bytes that a function's process has now.
func resident(t *testing.T, f *fn) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.process.Process.Pid))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(status), "VmRSS:")
	require.True(t, found, "%s", status)
	kilobytes, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(t, err)
	return kilobytes << 10
}
