package source_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
	"onefire/function"
	"onefire/function/source"
)

// TestTheFunctionTakesEveryEvent posts what leaves the source to the function's
// own receiver, which ignores all severities here, so that it needs no
// Kubernetes API. 200 means that it read a valid CloudEvent with alerts in it.
func TestTheFunctionTakesEveryEvent(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, []byte(`{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],
		"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}`), 0o600))
	f := function.New()
	require.NoError(t, f.Start(t.Context(), map[string]string{
		"AUDIT_SINK": "http://127.0.0.1:1", "KUBECONFIG": kubeconfig, "IGNORE_SEVERITIES": "critical,high,medium,low,unknown,none,warning,info",
		"LOG_LEVEL": "error",
	}))
	defer func() { require.NoError(t, f.Stop(t.Context())) }()
	var mu sync.Mutex
	answers := map[int]int{}
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		f.ServeHTTP(recorder, r)
		mu.Lock()
		answers[recorder.Code]++
		mu.Unlock()
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	}))
	defer sink.Close()

	bodies := map[string]int{ // Body, and how many alerts it has.
		`{"receiver":"r \\. ü","groupKey":7,"alerts":[{"labels":{"alertname":"` + strings.Repeat("é ", 500) + `","severity":"INFO","namespace":"a\u0000b"},"annotations":{"x":1}}]}`:                                                            1,
		`{"alerts":[{"labels":{"severity":"none","alertname":"A","n":"` + strings.Repeat("x", 1<<20) + `"}},{"labels":{"severity":"none","alertname":"B"},"status":"resolved"}],"STATUS":"firing","truncatedAlerts":3,"routeLabels":{"a":"b"}}`: 2,
	}
	paths, err := filepath.Glob("../../mapping/testdata/alertmanager/*.json")
	require.NoError(t, err)
	for _, path := range paths {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		bodies[string(body)] = strings.Count(string(body), `"startsAt"`)
	}
	for _, split := range []config.Split{config.SplitAlert, config.SplitNotification} {
		for body, alerts := range bodies {
			clear(answers)
			require.Equal(t, http.StatusOK, through(t, sink.URL, split, body))
			want := alerts
			if split == config.SplitNotification {
				want = 1
			}
			require.Equal(t, map[int]int{http.StatusOK: want}, answers, "%s %.200s", split, body)
		}
	}
}

// through posts a body to a source that sends to a sink.
func through(t *testing.T, sink string, split config.Split, body string) int {
	t.Helper()
	s, err := source.New(t.Context(), config.Source{Sink: sink, Split: split, Window: time.Second, DeliveryTimeout: 10 * time.Second}, io.Discard)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post("http://"+listener.Addr().String()+"/alertmanager", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, <-served)
	t.Logf("%d %.200s", resp.StatusCode, answer)
	return resp.StatusCode
}
