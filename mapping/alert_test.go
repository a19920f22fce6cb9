package mapping

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// now is the time of every event in these tests.
var now = time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)

// captured reads the bodies that real Alertmanagers sent, by file name.
func captured(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/alertmanager/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	out := map[string][]byte{}
	for _, file := range files {
		out[filepath.Base(file)], err = os.ReadFile(file)
		require.NoError(t, err)
	}
	return out
}

// parseOne decodes a payload that holds one alert.
func parseOne(t testing.TB, payload string) Alert {
	t.Helper()
	n, err := Parse([]byte(payload), now)
	require.NoError(t, err)
	require.Len(t, n.Alerts, 1)
	return n.Alerts[0]
}

func TestIdentityIsAlertmanagersFingerprint(t *testing.T) {
	for file, body := range captured(t) {
		t.Run(file, func(t *testing.T) {
			var sent struct {
				Alerts []struct{ Fingerprint string }
			}
			require.NoError(t, json.Unmarshal(body, &sent))
			n, err := Parse(body, now)
			require.NoError(t, err)
			require.Len(t, n.Alerts, len(sent.Alerts))
			for i, a := range n.Alerts {
				require.Empty(t, a.Problem)
				require.Equal(t, sent.Alerts[i].Fingerprint, a.Identity())
			}
		})
	}
}

func TestIdentityKeepsNamesAndValuesApart(t *testing.T) {
	// The expectation is the offset basis of FNV-1a 64, hashed over nothing.
	require.Equal(t, "cbf29ce484222325", Alert{}.Identity())
	require.NotEqual(t,
		Alert{Labels: map[string]string{"ab": "c"}}.Identity(),
		Alert{Labels: map[string]string{"a": "bc"}}.Identity())
	require.NotEqual(t,
		Alert{Labels: map[string]string{"a": "b", "c": "d"}}.Identity(),
		Alert{Labels: map[string]string{"a": "d", "c": "b"}}.Identity())
}

func TestIdentityIsComputedWhateverTheSenderPutsThere(t *testing.T) {
	for reason, field := range map[string]string{
		"absent before Alertmanager 0.19": ``,
		"any text from other senders":     `,"fingerprint":"disk full on db-1"`,
		"not even text":                   `,"fingerprint":{"a":1}`,
	} {
		t.Run(reason, func(t *testing.T) {
			a := parseOne(t, `{"labels":{"alertname":"Trunc","case":"trunc","instance":"node-01","severity":"critical"}`+field+`}`)
			require.Equal(t, "4ecf03d7addd9ee5", a.Identity())
		})
	}
}

func TestCapturedStatus(t *testing.T) {
	bodies := captured(t)
	for file, want := range map[string][]bool{
		"am0.27.0-first.json":        {false, false, false, false, false},
		"am0.34.0-first.json":        {false, false, false, false},
		"am0.34.0-mixed.json":        {true, true, false, false, false},
		"am0.34.0-all-resolved.json": {true, true, true, true, true},
		"am0.34.0-trunc-first.json":  {false, false, false},
	} {
		t.Run(file, func(t *testing.T) {
			n, err := Parse(bodies[file], now)
			require.NoError(t, err)
			require.Len(t, n.Alerts, len(want))
			for i, a := range n.Alerts {
				require.Equal(t, want[i], a.Resolved)
				require.Equal(t, want[i], !a.EndsAt.IsZero(), "a firing alert has no end")
			}
		})
	}
}

func TestCapturedAlertIsReadInFull(t *testing.T) {
	n, err := Parse(captured(t)["am0.34.0-mixed.json"], now)
	require.NoError(t, err)
	a := n.Alerts[0]
	require.Equal(t, map[string]string{
		"alertname": "KubePodCrashLooping", "container": "api", "namespace": "payments",
		"pod": "api-0", "prometheus": "monitoring/k8s", "severity": "warning",
	}, a.Labels)
	require.Equal(t, map[string]string{"summary": "Pod is crash looping."}, a.Annotations)
	require.Equal(t, "2026-11-23T06:49:22.815487Z", a.Start)
	require.Equal(t, time.Date(2026, 11, 23, 6, 49, 22, 815487000, time.UTC), a.StartsAt)
	require.Equal(t, time.Date(2026, 11, 23, 6, 50, 25, 908992000, time.UTC), a.EndsAt)
	require.True(t, strings.HasPrefix(string(a.Raw), `{"status":"resolved","labels":{`), "Raw is that alert alone")
}

func TestTruncatedAlerts(t *testing.T) {
	for reason, row := range map[string]struct {
		field string
		want  uint64
	}{
		"as Alertmanager writes it":      {`"truncatedAlerts":6,`, 6},
		"absent before 0.21":             {``, 0},
		"null":                           {`"truncatedAlerts":null,`, 0},
		"a number in text":               {`"truncatedAlerts":"6",`, 6},
		"below zero says nothing":        {`"truncatedAlerts":-6,`, 0},
		"no whole number says nothing":   {`"truncatedAlerts":6.5,`, 0},
		"no number at all says nothing":  {`"truncatedAlerts":"many",`, 0},
		"an object must not lose alerts": {`"truncatedAlerts":{"n":6},`, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			n, err := Parse([]byte(`{`+row.field+`"alerts":[{"labels":{"alertname":"A"}}]}`), now)
			require.NoError(t, err)
			require.Len(t, n.Alerts, 1)
			require.Equal(t, row.want, n.Truncated)
		})
	}
	t.Run("captured", func(t *testing.T) {
		for file, body := range captured(t) {
			n, err := Parse(body, now)
			require.NoError(t, err)
			want := uint64(0)
			if file == "am0.34.0-trunc-first.json" {
				want = 6
			}
			require.Equal(t, want, n.Truncated, file)
		}
	})
}

func TestResolved(t *testing.T) {
	past, future := now.Add(-time.Second).Format(time.RFC3339Nano), now.Add(time.Second).Format(time.RFC3339Nano)
	for reason, row := range map[string]struct {
		group, alert string
		want         bool
	}{
		"its own status resolves it in a firing group": {`"status":"firing",`, `"status":"resolved",`, true},
		"its own status goes before its end":           {``, `"status":"firing","endsAt":"` + past + `",`, false},
		"its own status keeps it firing":               {`"status":"resolved",`, `"status":"firing",`, false},
		"a status is read without case":                {``, `"status":"RESOLVED",`, true},
		"the group's status stands in":                 {`"status":"resolved",`, ``, true},
		"the group's status goes before its end":       {`"status":"firing",`, `"endsAt":"` + past + `",`, false},
		"an unknown status is none":                    {`"status":"resolved",`, `"status":"smouldering",`, true},
		"a status object without a state is none":      {`"status":"resolved",`, `"status":{"silencedBy":[]},`, true},
		"a status object has a state":                  {``, `"status":{"state":"active"},"endsAt":"` + past + `",`, false},
		"Prometheus' state":                            {``, `"state":"firing","endsAt":"` + past + `",`, false},
		"a status goes before a state":                 {``, `"status":"resolved","state":"alerting",`, true},
		"no status: ended before the event":            {``, `"endsAt":"` + past + `",`, true},
		"no status: ended at the event":                {``, `"endsAt":"` + now.Format(time.RFC3339) + `",`, true},
		"no status: ends after the event":              {``, `"endsAt":"` + future + `",`, false},
		"no status: Alertmanager's zero end":           {``, `"endsAt":"0001-01-01T00:00:00Z",`, false},
		"no status: an end that is no time":            {``, `"endsAt":"yesterday",`, false},
		"no status and no end":                         {``, ``, false},
	} {
		t.Run(reason, func(t *testing.T) {
			a := parseOne(t, `{`+row.group+`"alerts":[{`+row.alert+`"labels":{"alertname":"A"}}]}`)
			require.Equal(t, row.want, a.Resolved)
		})
	}
}

func TestStart(t *testing.T) {
	for reason, row := range map[string]struct {
		json, text string
		at         time.Time
	}{
		"RFC 3339 with nanoseconds":            {`"2026-11-23T06:49:22.123456789Z"`, "2026-11-23T06:49:22.123456789Z", time.Date(2026, 11, 23, 6, 49, 22, 123456789, time.UTC)},
		"another zone becomes UTC":             {`"2026-11-23T07:49:22+01:00"`, "2026-11-23T07:49:22+01:00", time.Date(2026, 11, 23, 6, 49, 22, 0, time.UTC)},
		"a Unix time still tells occurrences":  {`1700000000`, "1700000000", time.Time{}},
		"what is no time keeps its text":       {`"this morning"`, "this morning", time.Time{}},
		"null is absent":                       {`null`, "", time.Time{}},
		"an object is ignored":                 {`{"seconds":1}`, "", time.Time{}},
		"Alertmanager's zero time is no start": {`"0001-01-01T00:00:00Z"`, "0001-01-01T00:00:00Z", time.Time{}},
	} {
		t.Run(reason, func(t *testing.T) {
			a := parseOne(t, `{"labels":{"alertname":"A"},"startsAt":`+row.json+`}`)
			require.Empty(t, a.Problem)
			require.Equal(t, row.text, a.Start)
			require.Equal(t, row.at, a.StartsAt)
			s, err := Rules{}.Signal(a, now)
			require.NoError(t, err)
			if row.at.IsZero() {
				require.Equal(t, now, s.FiringAt, "the event's time stands in")
			} else {
				require.Equal(t, row.at, s.FiringAt)
			}
		})
	}
}

func manyAlerts(n int) []byte {
	one := `{"labels":{"alertname":"A"}}`
	return fmt.Appendf(nil, `{"alerts":[%s]}`, strings.TrimSuffix(strings.Repeat(one+",", n), ","))
}

func TestMaxAlertsIsTheMost(t *testing.T) {
	n, err := Parse(manyAlerts(MaxAlerts), now)
	require.NoError(t, err)
	require.Len(t, n.Alerts, MaxAlerts)

	n, err = Parse(manyAlerts(MaxAlerts+1), now)
	require.ErrorIs(t, err, ErrTooMany)
	require.NotErrorIs(t, err, ErrNoAlerts)
	require.ErrorContains(t, err, "more than 2000 alerts", "the sender learns the limit")
	require.Empty(t, n)
}

// A body of many tiny elements, or one alert of many tiny labels, must not take
// many times its size before it is refused.
func TestSmallElementsDoNotTakeMuchMemory(t *testing.T) {
	for reason, row := range map[string]struct {
		body string
		err  error
	}{
		"a list of numbers":     {`{"alerts":[` + strings.Repeat("0,", 1<<20) + `0]}`, ErrTooMany},
		"an alert of labels":    {`{"labels":{` + strings.Repeat(`"a":"",`, 1<<18) + `"b":""}}`, nil},
		"a list without an end": {`[` + strings.Repeat("{},", 1000), ErrNoAlerts},
	} {
		t.Run(reason, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n, err := Parse([]byte(row.body), now)
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, row.err)
			if err == nil {
				require.Contains(t, n.Alerts[0].Problem, "more than 25000")
			}
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20<<20))
		})
	}
}

func TestWhatDoesNotFire(t *testing.T) {
	for reason, row := range map[string]struct {
		group, alert, want string
	}{
		"silenced or inhibited, as a word":               {``, `"status":"suppressed",`, "suppressed"},
		"silenced or inhibited, in Alertmanager's API":   {``, `"status":{"inhibitedBy":[],"silencedBy":["8b0e"],"state":"suppressed"},`, "suppressed"},
		"not yet looked at by Alertmanager":              {``, `"status":{"state":"unprocessed"},`, "unprocessed"},
		"pending in Prometheus' API":                     {``, `"state":"pending",`, "pending"},
		"inactive":                                       {``, `"state":"inactive",`, "inactive"},
		"Grafana's ok":                                   {``, `"status":"OK",`, "ok"},
		"Grafana's normal":                               {``, `"state":"Normal",`, "normal"},
		"the group's word":                               {`"status":"suppressed",`, ``, "suppressed"},
		"its own word goes before the group's":           {`"status":"firing",`, `"status":"pending",`, "pending"},
		"an alert that fires in a group that does not":   {`"status":"suppressed",`, `"status":"firing",`, ""},
		"an alert that has ended in a group that is not": {`"status":"suppressed",`, `"status":"resolved",`, ""},
		"no word at all":                                 {``, ``, ""},
	} {
		t.Run(reason, func(t *testing.T) {
			a := parseOne(t, `{`+row.group+`"alerts":[{`+row.alert+`"labels":{"alertname":"A"}}]}`)
			require.Equal(t, row.want, a.NotFiring)
			reason, ignored := Rules{}.Ignored(a)
			require.Equal(t, row.want != "", ignored)
			require.Equal(t, map[bool]Reason{true: NotFiring}[ignored], reason)
			require.False(t, a.Resolved && a.NotFiring != "")
		})
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2026, 11, 28, 10, 0, 0, 123e6, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-28T10:00:00.123Z":                        want,
		"2026-11-28T11:00:00.123+01:00":                   want,
		"2026-11-28 10:00:00.123 +0000 UTC":               want,
		"2026-11-28 10:00:00.123 +0000 UTC m=+448.183180": want,
		"2026-11-28 11:00:00.123 +0100 CET":               want,
		"2026-11-28 10:00:00 +0000 UTC":                   want.Truncate(time.Second),
		"0001-01-01 00:00:00 +0000 UTC":                   {},
		"2026-11-28 10:00:00":                             {},
		"yesterday":                                       {},
		"":                                                {},
	} {
		t.Run(text, func(t *testing.T) {
			require.Equal(t, want, instant(text))
		})
	}
	a := parseOne(t, `{"labels":{"alertname":"A"},"state":"firing","activeAt":"2026-11-28T10:00:00.123Z","value":"1e+00"}`)
	require.Equal(t, want, a.StartsAt, "Prometheus' API says activeAt")
	require.Equal(t, "2026-11-28T10:00:00.123Z", a.Start)
	a = parseOne(t, `{"labels":{"alertname":"A"},"activeAt":"2026-11-28T09:00:00Z","startsAt":"2026-11-28T10:00:00.123Z"}`)
	require.Equal(t, want, a.StartsAt)
}

func TestPayloadsThatHoldAlertsInAnotherWay(t *testing.T) {
	for payload, want := range map[string]string{
		`{"Type":"Notification","TopicArn":"arn","Message":"{}"}`:                           "turn on raw message delivery",
		`{"schemaId":"azureMonitorCommonAlertSchema","data":{"essentials":{}}}`:             "Azure Monitor's common alert schema; send these alerts through an Alertmanager",
		`{"status":"success","data":{"alerts":[{"labels":{"alertname":"A"},"state":"x"}]}}`: "send the array that its data has as alerts",
		`{"specversion":"1.0"}`: "neither alerts nor labels",
	} {
		t.Run(want, func(t *testing.T) {
			_, err := Parse([]byte(payload), now)
			require.ErrorIs(t, err, ErrNoAlerts)
			require.ErrorContains(t, err, want)
		})
	}
}
