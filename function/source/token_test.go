package source

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"onefire/config"
)

func TestTheSinkIsShownTheTokenThatIsThereNow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("one\n"), 0o600))
	b := newBroker(t)
	var mu sync.Mutex
	var shown []string
	b.answers(func(_ event.Event, r *http.Request) (int, map[string]string, string) {
		mu.Lock()
		defer mu.Unlock()
		shown = append(shown, r.Header.Get("Authorization"))
		return http.StatusAccepted, nil, ""
	})
	f := start(t, b, func(c *config.Source) { c.SinkTokenFile = path })
	f.requireStatus(http.StatusOK, hook(firing(0, "alertname=A")))
	require.NoError(t, os.WriteFile(path, []byte("two"), 0o600))
	f.requireStatus(http.StatusOK, hook(firing(0, "alertname=B")))
	require.Equal(t, []string{"Bearer one", "Bearer two"}, shown)

	require.NoError(t, os.Remove(path))
	answer := f.requireStatus(http.StatusServiceUnavailable, hook(firing(0, "alertname=C")))
	require.Contains(t, answer, "reading the token to show")
	require.Len(t, shown, 2, "without its token nothing is sent")
	require.NotContains(t, f.log.String(), "Bearer")
}
