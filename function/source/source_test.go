package source

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/config"
)

// collector is a fake OpenTelemetry collector that keeps what it is sent.
type collector struct {
	*httptest.Server
	mu   sync.Mutex
	text string
}

func newCollector(t *testing.T, status int) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			c.text += string(text)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) got() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text
}

func TestAStopSendsTheSpansThatAreLeft(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		collects := newCollector(t, status)
		f := start(t, newBroker(t), func(c *config.Source) {
			c.PodNamespace = "ops"
			c.OTel = config.OTel{TracesEndpoint: collects.URL + "/v1/traces", Timeout: config.Milliseconds(patience)}
		})
		f.requireStatus(http.StatusOK, simple)
		f.web.Close() // The webhook's span has ended then.
		require.Empty(t, collects.got())
		require.NoError(t, f.Stop(t.Context()))
		for _, part := range []string{`"POST /alertmanager"`, `"send io.prometheus.alert.v1"`, `"onefire-source"`, `"ops"`} {
			require.Contains(t, collects.got(), part)
		}
		require.Equal(t, status != http.StatusOK, len(f.log.with(t, "telemetry lost")) == 1)
	}
}

// closing notes whether the connections that nobody uses were closed.
type closing struct {
	http.RoundTripper
	closed bool
}

func (c *closing) CloseIdleConnections() { c.closed = true }

func TestAStopClosesTheConnectionsToTheSink(t *testing.T) {
	s, err := New(t.Context(), settings("http://sink.test"), io.Discard)
	require.NoError(t, err)
	transport := &closing{}
	s.sink.client.Wrap(func(http.RoundTripper) http.RoundTripper { return transport })
	require.NoError(t, s.Stop(t.Context()))
	require.True(t, transport.closed)
}

func TestAListenerThatFailsEndsTheSource(t *testing.T) {
	f := start(t, newBroker(t))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	require.ErrorIs(t, f.Serve(listener), net.ErrClosed)
	require.ErrorContains(t, f.Serve(listener), "serving: ")
}
