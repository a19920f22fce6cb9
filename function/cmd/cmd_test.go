package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/dedup"
	"onefire/function/telemetry"
	"onefire/mapping"
)

// run runs a command in an environment that has nothing but what is given.
func run(t *testing.T, in string, environment map[string]string, args ...string) (code int, out, problems string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(t.Context(), args, environment, Streams{In: strings.NewReader(in), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func TestExplainReadsWhateverTheFunctionTakes(t *testing.T) {
	alert := `{"labels":{"alertname":"DiskFull","node":"n1","severity":"warning"}}`
	event := `{"specversion":"1.0","type":"t","source":"/s","id":"1","datacontenttype":"application/json","data":` + alert + `}`
	encoded := `{"specversion":"1.0","type":"t","source":"/s","id":"1","datacontenttype":"application/json","data_base64":"` +
		"eyJsYWJlbHMiOnsiYWxlcnRuYW1lIjoiRGlza0Z1bGwiLCJub2RlIjoibjEiLCJzZXZlcml0eSI6Indhcm5pbmcifX0=" + `"}`
	want := `^ALERT     SEVERITY        TARGET   CHOSEN BY +FINGERPRINT   DECISION          OBJECT                     COUNT
DiskFull  high \(warning\)  Node/n1  .* +ade8b2fcaa5e  new \(first_seen\)  default/rr-ade8b2fcaa5e-…  1
$`
	for name, in := range map[string]string{
		"an alert":             alert,
		"Prometheus' array":    "[" + alert + "]",
		"a webhook":            `{"version":"4","status":"firing","alerts":[` + alert + `]}`,
		"a CloudEvent":         event,
		"one in base64":        encoded,
		"a batch of one event": "[" + event + "]",
	} {
		t.Run(name, func(t *testing.T) {
			code, out, problems := run(t, in, nil, "explain", "-")
			require.Regexp(t, want, out)
			require.Empty(t, problems)
			require.Zero(t, code)
		})
	}
}

func TestExplainSaysWhyForEachAlert(t *testing.T) {
	in := `{"truncatedAlerts":2,"alerts":[
		{"status":"firing","labels":{"alertname":"A\u001b[2J\n","severity":"critical","pod":"p","namespace":"shop","team":"sre"}},
		{"status":"resolved","labels":{"alertname":"B","severity":"high","pod":"p","team":"sre"},"endsAt":"2026-01-17T12:00:00Z"},
		{"labels":{"alertname":"Watchdog","team":"sre"}},
		{"labels":{"alertname":"C","team":"dev"}},
		{"labels":{"severity":"x"}},
		7]}`
	code, out, problems := run(t, in, map[string]string{"MATCHERS": `team="sre"`, "REMEDIATION_PLACEMENT": "signal"}, "explain", "-o", "json", "-")
	require.Zero(t, code)
	require.Contains(t, problems, "left out 2 alerts")
	var all []explanation
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	got := ""
	for _, e := range all {
		got += fmt.Sprintf("%q %s %s %s %s %v %s\n", e.Alertname, e.Status, e.Severity, e.Decision, e.Reason, strings.HasPrefix(e.Object, "shop/rr-"), e.Error)
	}
	require.Empty(t, all[1].Object, "the end of an alert makes none")
	require.Equal(t, `"A�[2J\n" firing critical new first_seen true 
"B" resolved high resolved resolved_nothing false 
"Watchdog" firing unknown filtered ignored_alertname false 
"C" firing unknown filtered unmatched false 
"" firing unknown invalid malformed false the alert has no alertname label
"" firing unknown invalid malformed false not an alert: it is a JSON number
`, strings.ReplaceAll(got, `\x1b`, "�"))

	_, table, _ := run(t, in, nil, "explain", "-")
	require.Contains(t, table, "  critical  ", "a severity is not said twice")
	require.Contains(t, table, "  invalid: the alert has no alertname label  ")
	require.NotContains(t, table, "\x1b", "what an alert says does not steer the terminal")
	require.Len(t, strings.Split(strings.TrimSpace(table), "\n"), 7)
}

func TestExplainCountsTheAlertsOfOneFileOnOneObject(t *testing.T) {
	one := func(status, name, container, starts string) string {
		return fmt.Sprintf(`{"status":%q,"startsAt":%q,"labels":{"alertname":%q,"namespace":"shop","pod":"p","container":%q}}`, status, starts, name, container)
	}
	event := func(id string, alerts ...string) string {
		return fmt.Sprintf(`{"specversion":"1.0","type":"t","source":"/s","id":%q,"datacontenttype":"application/json","data":{"alerts":[%s]}}`, id, strings.Join(alerts, ","))
	}
	const early, late = "2026-01-17T11:00:00Z", "2026-01-17T12:00:00Z"
	for reason, row := range map[string]struct{ in, want string }{
		"each label set and each start counts once": {
			"[" + one("firing", "A", "x", early) + "," + one("firing", "A", "y", early) + "," + one("firing", "A", "x", early) + "," + one("firing", "A", "x", late) + "]",
			"new first_seen 1, duplicate active 2, new first_seen 1, duplicate active 3",
		},
		"another fingerprint has a count of its own": {
			"[" + one("firing", "A", "x", early) + "," + one("firing", "B", "x", early) + "]",
			"new first_seen 1, new first_seen 1",
		},
		"the end of an alert marks what the file made, wherever it stands": {
			"[" + one("resolved", "A", "y", early) + "," + one("firing", "A", "x", early) + "," + one("resolved", "B", "x", early) + "]",
			"resolved resolved_active 1, new first_seen 1, resolved resolved_nothing 0",
		},
		"another event counts again, and the same one does not": {
			"[" + event("1", one("firing", "A", "x", early)) + "," + event("2", one("firing", "A", "x", early)) + "," +
				event("1", one("firing", "A", "x", early)) + "," + event("2", one("firing", "A", "x", early)) + "]",
			"new first_seen 1, duplicate active 2, new replayed_new 1, duplicate replayed_duplicate 2",
		},
		"an end in a later event": {
			"[" + event("1", one("firing", "A", "x", early)) + "," + event("2", one("resolved", "A", "x", early)) + "]",
			"new first_seen 1, resolved resolved_active 1",
		},
	} {
		t.Run(reason, func(t *testing.T) {
			code, out, problems := run(t, row.in, nil, "explain", "-o", "json", "-")
			require.Zero(t, code, problems)
			var all []explanation
			require.NoError(t, json.Unmarshal([]byte(out), &all))
			var got []string
			for _, e := range all {
				got = append(got, fmt.Sprintf("%s %s %d", e.Decision, e.Reason, e.Count))
			}
			require.Equal(t, row.want, strings.Join(got, ", "))
		})
	}
}

func TestASequenceGoesOnFromWhatTheClusterHas(t *testing.T) {
	for reason, row := range map[string]struct {
		has  dedup.Outcome
		want []string
	}{
		"an active object is counted on": {
			dedup.Outcome{Reason: mapping.Active, Name: "rr", Count: 7}, []string{"active 7", "active 8", "resolved_active 8"},
		},
		"one that asks for quiet is counted on, and not marked": {
			dedup.Outcome{Reason: mapping.ManualReview, Name: "rr", Count: 4}, []string{"manual_review 4", "manual_review 5", "resolved_nothing 0"},
		},
		"so is one that waits": {
			dedup.Outcome{Reason: mapping.BackOff, Name: "rr", Count: 4}, []string{"back_off 4", "back_off 5", "resolved_nothing 0"},
		},
		"the first alert after the last request makes one": {
			dedup.Outcome{Reason: mapping.Recurred, Name: "rr", Count: 1}, []string{"recurred 1", "active 2", "resolved_active 2"},
		},
		"a count has an end": {
			dedup.Outcome{Reason: mapping.Active, Name: "rr", Count: math.MaxInt32}, []string{"active 2147483647", "active 2147483647", "resolved_active 2147483647"},
		},
	} {
		t.Run(reason, func(t *testing.T) {
			q, asked := newSequence(mapping.Rules{}), 0
			q.look = func(context.Context, mapping.Signal, bool) (dedup.Outcome, error) { asked++; return row.has, nil }
			labels := map[string]string{"alertname": "A", "pod": "p"}
			all, err := q.explain(t.Context(), delivery{Notification: mapping.Notification{Alerts: []mapping.Alert{
				{Labels: labels, Start: "1"}, {Labels: labels, Start: "2"}, {Labels: labels, Start: "2", Resolved: true},
			}}})
			require.NoError(t, err)
			var got []string
			for _, e := range all {
				got = append(got, fmt.Sprint(e.Reason, " ", e.Count))
			}
			require.Equal(t, row.want, got)
			require.Equal(t, 1, asked, "the cluster is asked once for each subject")
		})
	}
}

// camel is the one style of keys.
var camel = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

// requireCamel asks that all keys of some JSON have one style.
func requireCamel(t *testing.T, text string) {
	t.Helper()
	var check func(v any)
	check = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				require.Regexp(t, camel, key)
				check(value)
			}
		case []any:
			for _, one := range v {
				check(one)
			}
		}
	}
	var all any
	require.NoError(t, json.Unmarshal([]byte(text), &all))
	check(all)
}

func TestTheKeysOfExplanationsHaveOneStyle(t *testing.T) {
	in := `{"alerts":[{"labels":{"alertname":"A","severity":"page","deployment":"api","namespace":"shop"}},
		{"labels":{"alertname":"A","severity":"low","deployment":"api","namespace":"shop"}}]}`
	code, out, _ := run(t, in, nil, "explain", "-o", "json", "-")
	require.Zero(t, code)
	requireCamel(t, out)
	require.Contains(t, out, `"target": {
      "apiVersion": "apps/v1",
      "kind": "Deployment",
      "name": "api",
      "namespace": "shop"
    }`)
}

func TestExplainSaysWhichRuleChoseTheTarget(t *testing.T) {
	all := []explanation{{Alertname: "A", Severity: "high", Target: target{Kind: "Pod", Name: "p"}, ChosenBy: "label pod", Fingerprint: "0123456789ab", Decision: "new", Reason: "first_seen"}}
	var b bytes.Buffer
	require.NoError(t, output{}.print(&b, all, func(w io.Writer) { table(w, all) }))
	require.Equal(t, "ALERT  SEVERITY  TARGET  CHOSEN BY  FINGERPRINT   DECISION          OBJECT  COUNT\n"+
		"A      high      Pod/p   label pod  0123456789ab  new (first_seen)  -       -\n", b.String())
	b.Reset()
	require.NoError(t, output{format: "json"}.print(&b, all, nil))
	require.Contains(t, b.String(), `"chosenBy": "label pod"`)
}

func TestExplainSaysWhichAlertsFoldIntoOneObject(t *testing.T) {
	in := `{"alerts":[
		{"labels":{"alertname":"PodSlow","severity":"warning","pod":"p","namespace":"shop"}},
		{"labels":{"alertname":"PodSlow","severity":"high","pod":"p","namespace":"shop"}},
		{"labels":{"alertname":"PodDown","severity":"critical","pod":"p","namespace":"shop"}},
		{"status":"resolved","labels":{"alertname":"PodOld","severity":"low","pod":"p","namespace":"shop"}},
		{"labels":{"alertname":"PodSlow","severity":"critical","pod":"q","namespace":"shop"}}]}`
	both := func(mode string) (lines []string, all []explanation) {
		environment := map[string]string{"FINGERPRINT": mode}
		_, table, _ := run(t, in, environment, "explain", "-")
		_, out, _ := run(t, in, environment, "explain", "-o", "json", "-")
		require.NoError(t, json.Unmarshal([]byte(out), &all))
		return strings.Split(strings.TrimSpace(table), "\n")[6:], all
	}
	lines, all := both("resource")
	require.Equal(t, []string{"PodSlow (high), PodDown (critical) fold into the same object: " + all[0].Object}, lines)
	slow, down := []named{{"PodSlow", "high"}}, []named{{"PodDown", "critical"}}
	for i, want := range [][]named{down, down, slow, nil, nil} {
		require.Equal(t, want, all[i].FoldsWith, i)
	}
	lines, all = both("alert")
	require.Empty(t, lines)
	for _, e := range all {
		require.Empty(t, e.FoldsWith)
	}
}

func TestWhatCannotBeExplainedIsSaid(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	require.NoError(t, os.WriteFile(large, make([]byte, maxInput+1), 0o600))
	for name, row := range map[string]struct {
		in          string
		environment map[string]string
		args        []string
		code        int
		problem     string
	}{
		"no such command":      {args: []string{"serve"}, code: 2, problem: "for help"},
		"no file":              {args: []string{"explain"}, code: 2, problem: "for help"},
		"no such flag":         {args: []string{"explain", "-x", "-"}, code: 2, problem: "not defined: -x"},
		"no such form":         {args: []string{"config", "-o", "yaml"}, code: 2, problem: "use text or json"},
		"a file that is not":   {args: []string{"explain", "nowhere.json"}, code: 1, problem: "nowhere.json"},
		"a file too large":     {args: []string{"explain", large}, code: 1, problem: "more than 16777216 bytes: the function would reject it"},
		"no JSON":              {args: []string{"explain", "-"}, in: "x", code: 1, problem: "no Prometheus alerts in it"},
		"an event of none":     {args: []string{"explain", "-"}, in: `{"specversion":"1.0","type":"t","source":"/s","id":"7","data":{}}`, code: 1, problem: "event 7"},
		"a wrong variable":     {args: []string{"explain", "-"}, environment: map[string]string{"FINGERPRINT": "x"}, code: 1, problem: "FINGERPRINT"},
		"no such kubeconfig":   {args: []string{"explain", "-kubeconfig", "nowhere", "-"}, in: `{"labels":{"alertname":"A"}}`, code: 1, problem: "nowhere"},
		"a wrong setting":      {args: []string{"config"}, code: 1, problem: "AUDIT_SINK: required"},
		"an argument too many": {args: []string{"config", "x"}, code: 2, problem: "for help"},
		"a version of what":    {args: []string{"version", "x"}, code: 2, problem: "for help"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, problems := run(t, row.in, row.environment, row.args...)
			require.Equal(t, row.code, code)
			require.Contains(t, problems, row.problem)
		})
	}
}

func TestTheVersionNeedsNoConfiguration(t *testing.T) {
	code, out, problems := run(t, "", map[string]string{"LOG_LEVEL": "loud"}, "version")
	require.Zero(t, code)
	require.Empty(t, problems)
	require.Equal(t, telemetry.About("onefire")+"\n", out)
}

func TestConfigPrintsWhatTakesEffect(t *testing.T) {
	environment := map[string]string{"AUDIT_SINK": "http://sink", "PORT": "9000"}
	code, out, problems := run(t, "", environment, "config")
	require.Zero(t, code)
	require.Empty(t, problems)
	require.Regexp(t, `(?m)^PORT +9000 +environment$`, out)
	require.Regexp(t, `(?m)^LISTEN_ADDRESS +:9000 +derived$`, out)
	require.Regexp(t, `(?m)^AUDIT_MODE +required +default$`, out)
	require.Regexp(t, `(?m)^KUBECONFIG +- +-$`, out)

	code, out, _ = run(t, "", environment, "config", "-o", "json")
	require.Zero(t, code)
	require.Contains(t, out, "\"name\": \"PORT\",\n    \"value\": \"9000\",\n    \"from\": \"environment\"")
}
