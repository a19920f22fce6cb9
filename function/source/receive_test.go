package source

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyAPOSTIsAWebhook(t *testing.T) {
	f := start(t, newBroker(t))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, f.web.URL+"/alertmanager", strings.NewReader(simple))
	require.NoError(t, err)
	resp, err := f.web.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	require.Equal(t, http.MethodPost, resp.Header.Get("Allow"))
	require.Equal(t, "POST a webhook of Alertmanager\n", string(text))
	require.Zero(t, f.sink.posted())
}

func TestAPrometheusIsToldThatItNeedsAnAlertmanager(t *testing.T) {
	f := start(t, newBroker(t))
	resp, err := f.web.Client().Post(f.web.URL+"/api/v2/alerts", "application/json", strings.NewReader(`[{"labels":{"alertname":"A"}}]`))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Contains(t, string(text), "point them at an Alertmanager")
}

func TestAPanicBeforeADeliveryIsAnAnswer(t *testing.T) {
	f := start(t, newBroker(t))
	sound := f.auth
	f.auth = nil
	require.Equal(t, "internal error: see the log", f.requireStatus(http.StatusInternalServerError, simple))
	require.Len(t, f.log.with(t, "panic"), 1)
	f.auth = sound
	f.requireStatus(http.StatusOK, simple)
}
