package scrape

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatIsCountedIsServedUntilStop(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	_, _, err = Start(t.Context(), address)
	require.ErrorContains(t, err, "METRICS_ADDRESS: ", "the address is taken")
	require.NoError(t, l.Close())

	provider, stop, err := Start(t.Context(), address)
	require.NoError(t, err)
	counter, err := provider.Meter("x").Int64Counter("onefire.things")
	require.NoError(t, err)
	counter.Add(t.Context(), 3)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		require.NoError(t, err)
		resp, err := client.Do(req)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	status, body := ask("/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "onefire_things_total 3\n")
	status, _ = ask("/")
	require.Equal(t, http.StatusNotFound, status)
	require.NoError(t, stop(context.WithoutCancel(t.Context())))
	status, _ = ask("/metrics")
	require.Zero(t, status)
}

func TestWithoutAnAddressNothingIsServed(t *testing.T) {
	provider, stop, err := Start(t.Context(), "")
	require.NoError(t, err)
	counter, err := provider.Meter("x").Int64Counter("onefire.things")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	require.NoError(t, stop(t.Context()))
}
