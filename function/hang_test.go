package function_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/function"
)

// TestNoRequestHangs is what the SDK's own receiver fails: 20,000 events, 50 at
// a time, one client in ten hanging up within 4 ms. goleak, in TestMain, says
// whether a goroutine stayed.
func TestNoRequestHangs(t *testing.T) {
	const events, clients = 20_000, 50
	server := httptest.NewServer(function.NewForWire())
	defer server.Close()
	// Those that hang up have connections of their own: Go's client can end a
	// request with the deadline of the one before it on the same connection.
	patient, hasty := newClient(clients), newClient(clients)
	defer patient.CloseIdleConnections()
	defer hasty.CloseIdleConnections()

	before := runtime.NumGoroutine()
	var settled, cancelled, wrong atomic.Int64
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			for i := range events / clients {
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				client, hangsUp := patient, i%10 == 0
				if hangsUp {
					client = hasty
					ctx, cancel = context.WithTimeout(ctx, rand.N(4*time.Millisecond))
				}
				switch status, err := send(ctx, client, server.URL); {
				case err == nil && status == http.StatusOK:
					settled.Add(1)
				case err != nil && hangsUp:
					cancelled.Add(1)
				default:
					wrong.Add(1)
					t.Errorf("event %d of a client: %d, %v", i, status, err)
				}
				cancel()
			}
		})
	}
	work.Wait()
	require.Zero(t, wrong.Load(), "requests that failed or hung")
	require.EqualValues(t, events, settled.Load()+cancelled.Load())
	require.GreaterOrEqual(t, settled.Load(), int64(events*9/10))
	for range 10 {
		status, err := send(t.Context(), patient, server.URL)
		require.NoError(t, err, "a single request after the load")
		require.Equal(t, http.StatusOK, status)
	}
	patient.CloseIdleConnections()
	hasty.CloseIdleConnections()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 10*time.Second, 10*time.Millisecond)
	t.Logf("%d events: %d settled, %d hung up", events, settled.Load(), cancelled.Load())
}

func newClient(connections int) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
}

func send(ctx context.Context, client *http.Client, url string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"labels":{"alertname":"A"}}`))
	if err != nil {
		return 0, err
	}
	for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Type": "t", "Ce-Source": "/s", "Ce-Id": "1"} {
		r.Header.Set(name, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
