package function

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onefire/config"
	"onefire/dedup"
	"onefire/function/receive"
	"onefire/mapping"
)

func TestStartNamesEveryWrongVariable(t *testing.T) {
	err := New().Start(t.Context(), map[string]string{"FINGERPRINT": "x", "REPLY": "y"})
	require.ErrorContains(t, err, "AUDIT_SINK")
	require.ErrorContains(t, err, "FINGERPRINT")
	require.ErrorContains(t, err, "REPLY")
}

func TestStartNeedsAKubernetesAPI(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	err := New().Start(t.Context(), map[string]string{"AUDIT_SINK": "http://127.0.0.1:1", "KUBECONFIG": missing})
	require.ErrorContains(t, err, "KUBECONFIG")
}

func TestStartNeedsNobodyToAnswer(t *testing.T) {
	stuck, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer stuck.Close()
	go neverAnswer(stuck)
	for name, address := range map[string]string{"nobody listens": "127.0.0.1:1", "nobody answers": stuck.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
			require.NoError(t, os.WriteFile(kubeconfig, []byte(`{"clusters":[{"name":"c","cluster":{"server":"https://`+address+`"}}],
				"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}`), 0o600))
			f := New()
			begun := time.Now()
			require.NoError(t, f.Start(t.Context(), map[string]string{"AUDIT_SINK": "http://" + address, "KUBECONFIG": kubeconfig}))
			require.NoError(t, f.Stop(t.Context()))
			require.Less(t, time.Since(begun), readyTimeout, "a stop does not wait for what is warming up")
			ready, err := f.Ready(t.Context())
			require.NoError(t, err)
			require.False(t, ready)
		})
	}
}

// whole is an API server and an audit sink in one, which counts what it is asked.
type whole struct{ lists, heads, posts atomic.Int64 }

func (w *whole) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodHead:
		w.heads.Add(1)
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/remediationrequests"):
		w.lists.Add(1)
		_, _ = io.WriteString(rw, `{"kind":"RemediationRequestList","items":[]}`)
	case r.Method == http.MethodPost && r.URL.Path == "/":
		w.posts.Add(1)
	default:
		rw.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	}
}

// kubeconfigOf is a kubeconfig for an API server at a URL.
func kubeconfigOf(t *testing.T, url string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file, []byte(`{"clusters":[{"name":"c","cluster":{"server":"`+url+`"}}],
		"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}`), 0o600))
	return file
}

func TestAStopLeavesNothingBehind(t *testing.T) {
	world := &whole{}
	api, sink := httptest.NewServer(world), httptest.NewServer(world)
	defer sink.Close()
	before := goleak.IgnoreCurrent()
	f := New()
	environment := map[string]string{"AUDIT_SINK": sink.URL, "KUBECONFIG": kubeconfigOf(t, api.URL), "METRICS_ADDRESS": freeAddress(t)}
	require.NoError(t, f.Start(t.Context(), environment))
	require.Eventually(t, func() bool { return world.lists.Load() > 0 && world.heads.Load() > 0 }, 10*time.Second, time.Millisecond, "a start opens the connections of the first event")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, binary("1", webhook(alert("firing", "alertname=Watchdog"), alert("firing", "pod=p"))))
	requireStatus(t, http.StatusOK, w)
	require.NotZero(t, world.posts.Load())

	other := New()
	require.ErrorContains(t, other.Start(t.Context(), environment), "METRICS_ADDRESS: ")
	w = httptest.NewRecorder()
	other.ServeHTTP(w, binary("1", "{}"))
	requireStatus(t, http.StatusServiceUnavailable, w)
	require.NoError(t, other.Stop(t.Context()), "what has not started is stopped")

	require.NoError(t, f.Stop(t.Context()))
	api.Close()
	goleak.VerifyNone(t, before)
}

func TestAStartTunesTheGarbageCollector(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	server := httptest.NewServer(&whole{})
	defer server.Close()
	for told, want := range map[string]int64{"": memoryLimit, "64MiB": 64 << 20} {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(64 << 20)
		f := New()
		require.NoError(t, f.Start(t.Context(), map[string]string{"AUDIT_SINK": config.NoAudit, "KUBECONFIG": kubeconfigOf(t, server.URL), "GOMEMLIMIT": told}))
		require.NoError(t, f.Stop(t.Context()))
		require.Equal(t, want, debug.SetMemoryLimit(-1))
		require.Equal(t, gcPercent, debug.SetGCPercent(100))
	}
}

func TestAliveNoticesAStuckHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		release := make(chan struct{})
		f.dedup.settle = func(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
			<-release // It ignores its context, as code that is stuck does.
			return nil, errors.New("late")
		}
		go f.serve(binary("1", alert("firing", "alertname=A")))
		synctest.Wait()
		alive, _ := f.Alive(t.Context())
		require.True(t, alive)
		pass(stuckAfter)
		alive, _ = f.Alive(t.Context())
		require.False(t, alive)
		close(release)
		synctest.Wait()
		alive, _ = f.Alive(t.Context())
		require.True(t, alive)
	})
}

func TestAnEventHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.dedup.settle = func(ctx context.Context, _ mapping.Signal, _ []string) ([]dedup.Outcome, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		begun := time.Now()
		requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("1", alert("firing", "alertname=A"))))
		require.Equal(t, eventTimeout, time.Since(begun))
	})
}

func TestStopWaitsForRequestsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		release := make(chan struct{})
		f.dedup.settle = func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
			<-release
			return (&fakeDedup{}).Settle(ctx, s, keys, nil)
		}
		var answer *httptest.ResponseRecorder
		go func() { answer = f.serve(binary("1", alert("firing", "alertname=A"))) }()
		synctest.Wait()

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, f.Stop(short), context.DeadlineExceeded)
		requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("2", alert("firing", "alertname=A"))))

		close(release)
		require.NoError(t, f.Stop(t.Context()))
		synctest.Wait()
		requireStatus(t, http.StatusOK, answer)
	})
}

func TestTooManyRequestsAreTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		release := make(chan struct{})
		f.dedup.settle = func(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
			<-release
			return nil, errors.New("late")
		}
		for range maxRequests {
			go f.serve(binary("1", alert("firing", "alertname=A")))
		}
		synctest.Wait()
		w := f.serve(binary("1", alert("firing", "alertname=A")))
		requireStatus(t, http.StatusServiceUnavailable, w)
		require.Contains(t, w.Body.String(), receive.ErrBusy.Error())
		close(release)
		synctest.Wait()
		require.Zero(t, f.receiver.Oldest(), "no request is left")
	})
}

// A sender that stops in the middle of a body gets its answer at the deadline.
func TestASlowBodyIsCutOff(t *testing.T) {
	f := newFixture()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The deadline in the past stands for one that has passed.
		f.ServeHTTP(deadlinePassed{w}, r)
	}))
	defer server.Close()
	body, w := io.Pipe()
	defer func() { require.NoError(t, w.Close()) }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, io.MultiReader(strings.NewReader("{"), body))
	require.NoError(t, err)
	req.Header = binary("1", "").Header
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
}

// deadlinePassed moves every read deadline into the past.
type deadlinePassed struct{ http.ResponseWriter }

func (d deadlinePassed) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (d deadlinePassed) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return http.NewResponseController(d.ResponseWriter).SetReadDeadline(time.Now().Add(-time.Second))
}
