package audit

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASecondConnectionResumesTheFirst(t *testing.T) {
	for name, http2 := range map[string]bool{
		"HTTP/1.1, where each delivery at once has a connection": false,
		"HTTP/2, after the one connection was lost":              true,
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var resumed []bool
			sink := unstarted(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				resumed = append(resumed, r.TLS.DidResume)
				w.WriteHeader(http.StatusCreated)
			})
			sink.EnableHTTP2 = http2
			sink.StartTLS()
			s := open(t, Options{URL: sink.URL, CACerts: inPEM(sink.Certificate().Raw)})
			for range 2 {
				require.NoError(t, one(t.Context(), s, another()))
				// From the server's side: the client may not have noticed yet
				// that an HTTP/2 connection has nothing under way.
				sink.CloseClientConnections()
			}
			require.EqualValues(t, 2, sink.connections.Load())
			require.Equal(t, []bool{false, true}, resumed)
		})
	}
}
