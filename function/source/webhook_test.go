package source

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
	"onefire/mapping"
)

// captured are bodies that real Alertmanagers sent.
func captured(t testing.TB) map[string][]byte {
	paths, err := filepath.Glob("../../mapping/testdata/alertmanager/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	all := map[string][]byte{}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		all[filepath.Base(path)] = body
	}
	return all
}

func TestEachEventSaysWhatTheWebhookSaidOfItsAlert(t *testing.T) {
	for name, body := range captured(t) {
		t.Run(name, func(t *testing.T) {
			var whole map[string]any
			require.NoError(t, json.Unmarshal(body, &whole))
			b := newBroker(t)
			start(t, b).requireStatus(http.StatusOK, string(body))
			events := b.events()
			alerts := whole["alerts"].([]any)
			require.Len(t, events, len(alerts))
			left := map[string]any{}
			for _, a := range alerts {
				left[a.(map[string]any)["fingerprint"].(string)] = a
			}
			for _, e := range events {
				var one map[string]any
				require.NoError(t, json.Unmarshal(e.Data(), &one))
				key := e.Extensions()["partitionkey"].(string)
				a := left[key].(map[string]any)
				delete(left, key)
				require.Equal(t, []any{a}, one["alerts"])
				labels := a["labels"].(map[string]any)
				for _, name := range []string{"alertname", "severity", "namespace"} {
					require.Equal(t, labels[name], e.Extensions()[name])
				}
				require.Equal(t, a["status"], e.Extensions()["status"])
				require.Equal(t, a["status"], one["status"])
				for field, value := range whole {
					if field != "alerts" && field != "status" {
						require.Equal(t, value, one[field], field)
					}
				}
				require.Equal(t, AlertType, e.Type())
				require.Equal(t, noon, e.Time())
				require.Equal(t, "urn:onefire:alertmanager:"+strings.ReplaceAll(whole["receiver"].(string), `\`, ""), e.Source())
			}
			require.Empty(t, left)
		})
	}
}

func TestANotificationGoesWhole(t *testing.T) {
	for name, body := range captured(t) {
		b := newBroker(t)
		start(t, b, func(c *config.Source) { c.Split = config.SplitNotification }).requireStatus(http.StatusOK, string(body))
		events := b.events()
		require.Len(t, events, 1, name)
		require.Equal(t, body, events[0].Data())
		require.Equal(t, NotificationType, events[0].Type())
		require.NotContains(t, events[0].Extensions(), "alertname")
	}
}

func TestExtensionsAreLegalStrings(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	long := strings.Repeat("ü", 200)
	f.requireStatus(http.StatusOK, `{"alerts":[{"labels":{"alertname":"Disk full","severity":"","namespace":"`+long+`"},"status":"firing"},{"labels":{"alertname":"100%\n\"ü\""}}]}`)
	events := b.events()
	require.Len(t, events, 2)
	if events[0].Extensions()["namespace"] == nil {
		events[0], events[1] = events[1], events[0]
	}
	first, second := events[0].Extensions(), events[1].Extensions()
	// The SDK does not decode what the HTTP binding wants encoded.
	require.Equal(t, "Disk%20full", first["alertname"])
	require.NotContains(t, first, "severity")
	require.Equal(t, strings.Repeat("%C3%BC", 126), first["namespace"], "cut at a character's end")
	require.Equal(t, "100%25%EF%BF%BD%22%C3%BC%22", second["alertname"])
	require.Equal(t, "firing", second["status"], "what never ended fires")
	require.Equal(t, "urn:onefire:alertmanager:", events[0].Source())
}

func TestOddBodies(t *testing.T) {
	one := `{"labels":{"alertname":"A"}}`
	for name, tt := range map[string]struct {
		body   string
		status int
		answer string
		events int
	}{
		"version 3":                       {`{"version":"3","alerts":[` + one + `]}`, 200, "", 1},
		"no envelope but alerts":          {`{"alerts":[` + one + `]}`, 200, "", 1},
		"the same alert twice":            {`{"alerts":[` + one + `,` + one + `]}`, 200, "1 events accepted, 1 already accepted", 1},
		"alerts twice, the last counts":   {`{"alerts":[` + one + `,{"labels":{"alertname":"B"}}],"Alerts":[` + one + `]}`, 200, "", 1},
		"an alert that is none":           {`{"alerts":[7,` + one + `,{}]}`, 200, "", 3},
		"a receiver that is a number":     {`{"receiver":7,"alerts":[` + one + `]}`, 200, "", 1},
		"a receiver of any text":          {`{"receiver":"a b/ü\n","alerts":[` + one + `]}`, 200, "", 1},
		"a receiver that is long":         {`{"receiver":"` + strings.Repeat("x", 3000) + `","alerts":[` + one + `]}`, 200, "", 1},
		"nothing":                         {``, 400, "not a webhook of Alertmanager: it is not a JSON object", 0},
		"no JSON":                         {`alert!`, 400, "it is not a JSON object", 0},
		"half of it":                      {`{"alerts":[` + one, 400, "not a webhook of Alertmanager: alerts: unexpected EOF", 0},
		"half of its end":                 {`{"alerts":[` + one + `]`, 400, "it has no end", 0},
		"a name that is a number":         {`{"alerts":[` + one + `],7:1}`, 400, "not a webhook of Alertmanager: invalid character '7'", 0},
		"two of them":                     {`{"alerts":[` + one + `]} {}`, 400, "there is more after its end", 0},
		"what Prometheus sends":           {`[` + one + `]`, 400, "it is an array, which Prometheus and vmalert send; point them at an Alertmanager, and its webhook here", 0},
		"another's envelope":              {`{"Type":"Notification","TopicArn":"arn","Message":"{}"}`, 400, "turn on raw message delivery", 0},
		"an alert that does not fire":     {`{"status":"suppressed","alerts":[` + one + `]}`, 200, "", 1},
		"an alert as deep as JSON may be": {`{"alerts":[` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `]}`, 200, "", 1},
		"an alert without a webhook":      {one, 400, "no alerts in it", 0},
		"no alerts":                       {`{"alerts":[]}`, 400, "no alerts in it", 0},
		"alerts that are an object":       {`{"alerts":{}}`, 400, "it is not a JSON array", 0},
		"null for alerts":                 {`{"alerts":null}`, 400, "it is not a JSON array", 0},
		"too many fields":                 {`{"alerts":[` + one + `]` + manyFields(maxFields) + `}`, 400, "more than 64 fields", 0},
		"too much beside the alerts":      {`{"alerts":[` + one + `],"commonLabels":"` + strings.Repeat("x", maxEnvelope) + `"}`, 413, "bytes beside the alerts, more than 262144", 0},
		"too many alerts":                 {`{"alerts":[1` + strings.Repeat(",1", maxAlerts) + `]}`, 413, "more than 10000 alerts", 0},
		"as large as may be":              {simple + strings.Repeat(" ", maxBody-len(simple)), 200, "", 1},
		"too large":                       {simple + strings.Repeat(" ", maxBody-len(simple)+1), 413, "larger than 8388608 bytes", 0},
		"one alert too large for anyone":  {`{"alerts":[{"labels":{"alertname":"` + strings.Repeat("x", maxEvent) + `"}}]}`, 413, "the sink rejected all 1 events", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			f := start(t, b)
			require.Contains(t, f.requireStatus(tt.status, tt.body), tt.answer)
			require.Len(t, b.events(), tt.events)
			require.Equal(t, tt.status != 200, len(f.log.with(t, "webhook not accepted")) == 1)
		})
	}
}

func TestAnEventSaysTheStatusThatTheFunctionWillRead(t *testing.T) {
	for body, want := range map[string]string{
		`{"alerts":[{"labels":{"alertname":"A"}}]}`:                                              "firing",
		`{"alerts":[{"labels":{"alertname":"A"},"status":"resolved"}]}`:                          "resolved",
		`{"status":"firing","alerts":[{"labels":{"alertname":"A"},"status":"resolved"}]}`:        "resolved",
		`{"status":"resolved","alerts":[{"labels":{"alertname":"A"}}]}`:                          "resolved",
		`{"status":"suppressed","alerts":[{"labels":{"alertname":"A"}}]}`:                        "suppressed",
		`{"status":"suppressed","alerts":[{"labels":{"alertname":"A"},"status":"unprocessed"}]}`: "unprocessed",
		`{"status":"resolved","alerts":[7]}`:                                                     "resolved",
	} {
		b := newBroker(t)
		start(t, b).requireStatus(http.StatusOK, body)
		e := b.events()[0]
		require.Equal(t, want, e.Extensions()["status"], body)
		var data map[string]any
		require.NoError(t, json.Unmarshal(e.Data(), &data))
		require.Equal(t, want, data["status"], body)
	}
}

func TestAGroupBeganWithItsEarliestAlert(t *testing.T) {
	const never = `{"labels":{"alertname":"A"}}`
	one, two := firing(time.Minute, "alertname=A"), firing(2*time.Minute, "alertname=B")
	for reason, row := range map[string]struct {
		alerts []string
		want   time.Time
	}{
		"one":                      {[]string{one}, noon.Add(time.Minute - time.Hour)},
		"the first":                {[]string{one, two}, noon.Add(time.Minute - time.Hour)},
		"the last":                 {[]string{two, one}, noon.Add(time.Minute - time.Hour)},
		"one does not say":         {[]string{two, never}, noon.Add(2*time.Minute - time.Hour)},
		"the first does not say":   {[]string{never, two, one}, noon.Add(time.Minute - time.Hour)},
		"none says":                {[]string{never, never}, time.Time{}},
		"one that is not an alert": {[]string{"7", two}, noon.Add(2*time.Minute - time.Hour)},
	} {
		w, err := read([]byte(hook(row.alerts...)), noon)
		require.NoError(t, err)
		require.Equal(t, row.want, w.begun, reason)
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"` + strings.Repeat("f", i+1) + `":1`)
	}
	return b.String()
}

// FuzzRead holds that whatever is split says to the function what the whole said.
func FuzzRead(f *testing.F) {
	for _, body := range captured(f) {
		f.Add(body)
	}
	f.Add([]byte(simple))
	f.Add([]byte(`{"alerts":[{"labels":{"a":1},"endsAt":"2020-01-01T00:00:00Z"},null,{}],"STATUS":"x","ſtatus":"resolved","alertſ":[7]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := read(body, noon)
		if err != nil {
			return
		}
		if len(w.alerts) > mapping.MaxAlerts {
			return // The function would not take the whole.
		}
		whole, err := mapping.Parse(body, noon)
		require.NoError(t, err, "what is split the function would have taken")
		require.Len(t, whole.Alerts, len(w.alerts))
		require.Equal(t, whole.Truncated, w.truncated)
		for i, a := range w.alerts {
			data := w.with(a.raw, a.status)
			require.True(t, json.Valid(data))
			one, err := mapping.Parse(data, noon.Add(time.Hour))
			require.NoError(t, err)
			require.Len(t, one.Alerts, 1)
			want, got := whole.Alerts[i], one.Alerts[0]
			require.Equal(t, want, got)
			require.Equal(t, whole.Truncated, one.Truncated)
			require.NoError(t, newEvent("id", sourceOf(w.receiver), AlertType, noon, map[string]string{"alertname": a.name}, data).Validate())
		}
	})
}
