package deadletters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"onefire/function/cmd/help"
	"onefire/function/receive"
)

func TestADryRunSaysWhatTheFunctionSaysAndKeepsAll(t *testing.T) {
	f := fix(t)
	answers := []func(w http.ResponseWriter){
		func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"alerts":[{"alertname":"Old\u001b[31m","decision":"stale","reason":"too_old"},{"alertname":"A","decision":"new","reason":"first_seen","object":"ns/rr-a-…"}]}`)
		},
		func(w http.ResponseWriter) { http.Error(w, "not a CloudEvent", http.StatusUnsupportedMediaType) },
		func(w http.ResponseWriter) { http.Error(w, "no alerts", http.StatusBadRequest) },
	}
	asked := 0
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, receive.DryRunType, r.Header.Get("Content-Type"), "what an older function refuses")
		var e event.Event
		require.NoError(t, json.NewDecoder(r.Body).Decode(&e))
		require.NotContains(t, e.Extensions(), "knativeerrorcode")
		require.Equal(t, "2026-01-02T03:04:05Z", e.Time().Format("2006-01-02T15:04:05Z"))
		asked++
		answers[asked-1](w)
	}))
	defer target.Close()
	for _, id := range []string{"1", "2", "3"} {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": id}, `{"alerts":[]}`).Code)
	}
	names := f.names(t)
	var out bytes.Buffer
	err := Run(t.Context(), f.configuration(t, target.URL), []string{"replay", "-dry-run", "all"}, &out, io.Discard)
	require.ErrorIs(t, err, errUnsaid)
	require.ErrorContains(t, err, "1 of 3")
	require.Equal(t, names[0]+"\t2026-01-02T03:04:05Z  stale (too_old)  Old[31m\n"+
		names[0]+"\t2026-01-02T03:04:05Z  new (first_seen)  A  ns/rr-a-…\n"+
		names[1]+"\tnot known: 415: the function is of a version that knows no dry run\n"+
		names[2]+"\twould be kept: 400: no alerts\n", out.String())
	require.Equal(t, names, f.names(t), "nothing is deleted")
	require.ErrorAs(t, Run(t.Context(), f.configuration(t, target.URL), []string{"replay", "-dry-run"}, io.Discard, io.Discard), new(help.Error))
}
