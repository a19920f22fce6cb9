package node

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAProcessIsKeptUntilItIsStopped(t *testing.T) {
	dir := t.TempDir()
	starts := func() int {
		text, _ := os.ReadFile(filepath.Join(dir, "short.log"))
		return strings.Count(string(text), "started")
	}
	p := &process{name: "short", args: []string{"sh", "-c", "echo started; exec sleep 0.1"}, log: dir}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); p.keep(ctx) }()
	require.Eventually(t, func() bool { return starts() >= 2 }, 10*time.Second, pollEvery, "what ends is started again")

	server := httptest.NewServer(control(map[string]*process{"short": p}))
	defer server.Close()
	tell := func(path string) int {
		response, err := http.Post(server.URL+path, "", nil)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	require.Equal(t, http.StatusNotFound, tell("/short/dance"))
	require.Equal(t, http.StatusNotFound, tell("/other/stop"))
	require.Equal(t, http.StatusOK, tell("/short/kill"))
	n := starts()
	require.Never(t, func() bool { return starts() != n }, 2*restartPause, pollEvery, "what is stopped stays so")
	require.Equal(t, http.StatusOK, tell("/short/start"))
	require.Eventually(t, func() bool { return starts() > n }, 10*time.Second, pollEvery)
	cancel()
	<-ended
}
