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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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
