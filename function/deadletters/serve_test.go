package deadletters

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
)

func TestServeTellsItsCollectorWhoItIs(t *testing.T) {
	f := fix(t)
	exports := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		exports <- string(body)
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer collector.Close()
	c, log := f.configuration(t, ""), &logs{}
	c.PodNamespace, c.PodName = "ops", "letters-1"
	c.MetricsEndpoint, c.Timeout, c.MetricInterval = collector.URL, config.Milliseconds(time.Minute), config.Milliseconds(time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, Serve(ctx, c, log))
	said := <-exports
	for _, want := range []string{"onefire-deadletters", "ops", "letters-1"} {
		require.Contains(t, said, `{"stringValue":"`+want+`"}`)
	}
	require.Contains(t, log.String(), `"msg":"telemetry lost"`)
}

// breaking is a listener that fails, at first only for a moment.
type breaking struct {
	net.Listener
	failures []error
}

func (b *breaking) Accept() (net.Conn, error) {
	err := b.failures[0]
	b.failures = b.failures[1:]
	return nil, err
}

// passing is an error that passes, as when there are too many open files.
type passing struct{ error }

func (passing) Timeout() bool   { return false }
func (passing) Temporary() bool { return true }

func TestAListenerThatBreaksEndsTheProcess(t *testing.T) {
	f := fix(t)
	c, log := f.configuration(t, ""), &logs{}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	broken := errors.New("broken")
	err = serve(t.Context(), c, f.api, &breaking{listener, []error{passing{errors.New("too many")}, broken}}, slog.New(slog.NewJSONHandler(log, nil)))
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "serving on "+c.ListenAddress+": broken")
	require.Contains(t, log.String(), `"level":"WARN","msg":"http: Accept error: too many; retrying in`)
	require.Contains(t, log.String(), `"stopped"`)
	require.ErrorIs(t, listener.Close(), net.ErrClosed, "it is closed already")
}
