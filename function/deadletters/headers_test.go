package deadletters

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

func TestWhatHeadersCannotHoldIsSentAsJSON(t *testing.T) {
	for reason, value := range map[string]string{"no ASCII": "café", "a line": "a\\nb", "a space at its end": "a "} {
		t.Run(reason, func(t *testing.T) {
			f, target := fix(t), serveFunction(t, 200)
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(
				fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"%s","knativeerrorcode":"400"}`, value)))
			r.Header.Set("Content-Type", "application/cloudevents+json")
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			require.Equal(t, http.StatusOK, w.Code)
			_, err := f.replay(t.Context(), target.URL, f.kube.one(t).Name)
			require.NoError(t, err)
			require.Equal(t, "application/cloudevents+json", target.seen()[0].header.Get("Content-Type"))
			require.JSONEq(t, fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"%s"}`, value), target.seen()[0].body)
		})
	}
}

// Spaces within a value and all that is printable are sent as they are.
func TestWhatHeadersHoldIsSentInThem(t *testing.T) {
	for value, want := range map[string]bool{"a b": true, "a~b": true, "!": true, "a\x7f": false, "a\x1f": false, " a": false, "a\u00e9": false} {
		require.Equal(t, want, headersHold(sample(func(e *event.Event) { e.SetExtension("more", value) })), "%q", value)
	}
	for range 50 { // The order of extensions is another one each time.
		require.False(t, headersHold(sample(func(e *event.Event) { e.SetExtension("more", " a"); e.SetExtension("another", "a") })))
	}
}

func TestALetterKeepsTheTraceThatItCameWith(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f, target := fix(t), serveFunction(t, 200)
	require.Equal(t, http.StatusOK, f.send(map[string]string{"Traceparent": trace}, `{}`).Code)
	_, err := f.replay(t.Context(), target.URL, f.kube.one(t).Name)
	require.NoError(t, err)
	require.Equal(t, trace, target.seen()[0].header.Get("Ce-Traceparent"), "from the header, where the event has none")
}
