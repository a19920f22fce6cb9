package mapping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// odd are payloads that are not as Alertmanager's documentation has them and
// hold an alert all the same. They seed the fuzz target too.
var odd = map[string]struct {
	payload string
	// labels are those of the first alert; nil where it cannot be used.
	labels map[string]string
	alerts int
}{
	"version 3 with a numeric groupKey": {
		`{"version":"3","groupKey":1234567890123456789,"status":"firing","alerts":[{"status":"firing","labels":{"alertname":"A"}}]}`,
		map[string]string{"alertname": "A"}, 1},
	"the array that Prometheus posts, with no status": {
		`[{"labels":{"alertname":"A"},"startsAt":"2026-11-23T06:00:00Z","endsAt":"2026-11-23T07:05:00Z","generatorURL":"http://p"},{"labels":{"alertname":"B"}}]`,
		map[string]string{"alertname": "A"}, 2},
	"a bare alert": {
		`{"labels":{"alertname":"A"},"annotations":{"summary":"s"}}`,
		map[string]string{"alertname": "A"}, 1},
	"white space around it": {
		" \r\n\t" + `{"labels":{"alertname":"A"}}` + "\n",
		map[string]string{"alertname": "A"}, 1},
	"an envelope whose own labels are not an alert": {
		`{"labels":{"team":"x"},"alerts":[{"labels":{"alertname":"A"}}]}`,
		map[string]string{"alertname": "A"}, 1},
	"labels that are numbers, booleans and null": {
		`{"labels":{"alertname":"A","code":500,"ratio":0.10,"big":12345678901234567890,"paged":true,"team":null}}`,
		map[string]string{"alertname": "A", "code": "500", "ratio": "0.10", "big": "12345678901234567890", "paged": "true", "team": ""}, 1},
	"fields of later versions": {
		`{"version":"5","status":{"new":true},"alerts":[{"labels":{"alertname":"A"},"generatorURL":7,"links":[{"href":"x"}]}],"routeLabels":[]}`,
		map[string]string{"alertname": "A"}, 1},
	"label names that are no identifiers": {
		`{"labels":{"alertname":"A","service.name":"x","π":"3","":"empty"}}`,
		map[string]string{"alertname": "A", "service.name": "x", "π": "3", "": "empty"}, 1},
	"broken UTF-8": {
		"{\"labels\":{\"alertname\":\"A\xff\xfe\"}}",
		map[string]string{"alertname": "A\uFFFD\uFFFD"}, 1},
	"a NUL and an escape character": {
		`{"labels":{"alertname":"A\u0000\u001b[31m"}}`,
		map[string]string{"alertname": "A\x00\x1b[31m"}, 1},
	"half of a surrogate pair":      {`{"labels":{"alertname":"A\ud800"}}`, map[string]string{"alertname": "A\uFFFD"}, 1},
	"null where an alert should be": {`{"alerts":[null]}`, nil, 1},
	"text where an alert should be": {`{"alerts":["A"]}`, nil, 1},
	"an array in the array":         {`[[{"labels":{"alertname":"A"}}]]`, nil, 1},
	"no labels":                     {`{"alerts":[{"annotations":{"summary":"s"}}]}`, nil, 1},
	"empty labels":                  {`{"alerts":[{"labels":{}}]}`, nil, 1},
	"labels in an array":            {`{"alerts":[{"labels":["alertname","A"]}]}`, nil, 1},
	"a label that is an object":     {`{"alerts":[{"labels":{"alertname":{"is":"A"}}}]}`, nil, 1},
}

func TestOddPayloadsAreAlerts(t *testing.T) {
	for reason, row := range odd {
		t.Run(reason, func(t *testing.T) {
			n, err := Parse([]byte(row.payload), now)
			require.NoError(t, err)
			require.Len(t, n.Alerts, row.alerts)
			a := n.Alerts[0]
			require.Equal(t, row.labels, a.Labels)
			require.NotEmpty(t, a.Raw)
			if row.labels == nil {
				require.Contains(t, a.Problem, "not an alert")
			} else {
				require.Empty(t, a.Problem)
			}
		})
	}
}

// none are payloads without alerts. They seed the fuzz target too.
var none = map[string]string{
	"an empty body":                     ``,
	"white space":                       " \n\t",
	"broken JSON":                       `{"alerts":[{"labels":`,
	"two values":                        `{"labels":{"alertname":"A"}} {"labels":{"alertname":"B"}}`,
	"no JSON":                           `alertname=A`,
	"null":                              `null`,
	"a number":                          `12`,
	"text":                              `"alert"`,
	"an empty array":                    `[]`,
	"an empty object":                   `{}`,
	"an event of somebody else's":       `{"specversion":"1.0","type":"com.example","data":{}}`,
	"an envelope with no alerts":        `{"version":"4","alerts":[]}`,
	"an envelope whose alerts are null": `{"version":"4","alerts":null}`,
	"alerts that are no array":          `{"version":"4","alerts":{"labels":{"alertname":"A"}}}`,
}

func TestPayloadsWithoutAlertsAreRefused(t *testing.T) {
	for reason, payload := range none {
		t.Run(reason, func(t *testing.T) {
			n, err := Parse([]byte(payload), now)
			require.ErrorIs(t, err, ErrNoAlerts)
			require.NotErrorIs(t, err, ErrTooMany)
			require.Empty(t, n)
		})
	}
}

func TestAnUndecodableAlertHarmsNoNeighbour(t *testing.T) {
	n, err := Parse([]byte(`{"status":"firing","alerts":[
		{"labels":{"alertname":"First"}},
		{"labels":{"alertname":["no","text"]}},
		null,
		{"status":"resolved","labels":{"alertname":"Last"}}
	]}`), now)
	require.NoError(t, err)
	require.Len(t, n.Alerts, 4)

	require.Equal(t, map[string]string{"alertname": "First"}, n.Alerts[0].Labels)
	require.Empty(t, n.Alerts[0].Problem)
	require.Equal(t, map[string]string{"alertname": "Last"}, n.Alerts[3].Labels)
	require.Empty(t, n.Alerts[3].Problem)
	require.True(t, n.Alerts[3].Resolved)

	require.Equal(t, Alert{
		Raw:     []byte(`{"labels":{"alertname":["no","text"]}}`),
		Problem: "not an alert: an object or array where text is expected",
	}, n.Alerts[1])
	require.Equal(t, Alert{Raw: []byte(`null`), Problem: "not an alert: it has no labels"}, n.Alerts[2])
}

func TestUndecodableAlertsStayApart(t *testing.T) {
	signal := func(payload string) Signal {
		s, err := Rules{Namespace: "ops"}.Signal(parseOne(t, payload), now)
		require.ErrorContains(t, err, "not an alert")
		require.Equal(t, KindUnknown, s.Target.Kind)
		require.Len(t, s.Target.Name, 16)
		require.Equal(t, "ops", s.Namespace)
		require.Equal(t, Unknown, s.Severity)
		require.Equal(t, now, s.FiringAt)
		return s
	}
	one, other := signal(`[{"labels":["a"]}]`), signal(`[{"labels":["b"]}]`)
	require.NotEqual(t, one.Fingerprint, other.Fingerprint, "else one failure would hide the other in the audit")
	require.Equal(t, one, signal(`[{"labels":["a"]}]`))
	require.JSONEq(t, `{"labels":["a"]}`, string(one.Payload))
}

func TestWhatIsMerelyUsefulDoesNotMakeAnAlertInvalid(t *testing.T) {
	for reason, row := range map[string]struct {
		raw         string
		annotations map[string]string
	}{
		"annotations that are a list":     {`{"labels":{"alertname":"A"},"annotations":[]}`, nil},
		"one annotation is an object":     {`{"labels":{"alertname":"A"},"annotations":{"a":{},"b":"c"}}`, map[string]string{"b": "c"}},
		"numbers and truth are texts too": {`{"labels":{"alertname":"A"},"annotations":{"a":1,"b":true}}`, map[string]string{"a": "1", "b": "true"}},
	} {
		t.Run(reason, func(t *testing.T) {
			n, err := Parse([]byte(row.raw), now)
			require.NoError(t, err)
			require.Empty(t, n.Alerts[0].Problem)
			require.Equal(t, row.annotations, n.Alerts[0].Annotations)
		})
	}
}

func TestProblemsAreSaidInTheSendersTerms(t *testing.T) {
	for raw, want := range map[string]string{
		`{"labels":[]}`:            "not an alert: its labels is a JSON array",
		`{"labels":{"a":{}}}`:      "not an alert: an object or array where text is expected",
		`7`:                        "not an alert: it is a JSON number",
		`{"labels":{},"status":1}`: "not an alert: it has no labels",
	} {
		n, err := Parse([]byte("["+raw+"]"), now)
		require.NoError(t, err)
		require.Equal(t, want, n.Alerts[0].Problem)
	}
}

func TestATimeThatUTCCannotSayIsNoTime(t *testing.T) {
	for _, start := range []string{"9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "0000-06-01T00:00:00Z"} {
		require.Zero(t, instant(start), start)
	}
	require.NotZero(t, instant("9999-12-31T23:59:59Z"))
}
