package deadletters

import (
	"bytes"
	"context"
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

func TestADryRunSaysWhatItCouldNotLookAt(t *testing.T) {
	f := fix(t)
	answers := []string{`{"alerts":[{"decision":"new","reason":"first_seen"}]}`, "hello"}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, answers[0])
		answers = answers[1:]
	}))
	defer target.Close()
	for _, id := range []string{"1", "2"} {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": id, "Ce-Time": ""}, `{}`).Code)
	}
	names := f.names(t)
	var out bytes.Buffer
	err := DryRun(t.Context(), f.configuration(t, target.URL), append(names, "dead-letter-x"), &out)
	require.EqualError(t, err, "not all dead letters could be looked at: 1 of 2; 1 of 3 dead letters do not exist")
	require.Equal(t, names[0]+"\t-  new (first_seen)  -\n"+
		names[1]+"\tnot known: decoding what the function said: invalid character 'h' looking for beginning of value\n"+
		"dead-letter-x\tthere is no such dead letter in namespace onefire\n", out.String())
}

func TestADryRunThatIsStoppedSaysSo(t *testing.T) {
	f, target := fix(t), serveFunction(t, 200)
	for _, id := range []string{"1", "2"} {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": id}, `{}`).Code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	target.meet = cancel
	var out bytes.Buffer
	require.EqualError(t, DryRun(ctx, f.configuration(t, target.URL), f.names(t), &out), "stopped: context canceled")
	require.Empty(t, out.String())
	require.Len(t, target.seen(), 1)
}
