package tool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
	want := "ALERT     SEVERITY        TARGET   FINGERPRINT   DECISION          OBJECT                            COUNT\n" +
		"DiskFull  high (warning)  Node/n1  ade8b2fcaa5e  new (first_seen)  default/rr-ade8b2fcaa5e-a30c1cce  1\n"
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
			require.Equal(t, want, out)
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
	require.Equal(t, `"A�[2J\n" firing critical new first_seen true 
"B" resolved high resolved resolved_nothing false 
"Watchdog" firing unknown filtered ignored_alertname false 
"C" firing unknown filtered unmatched false 
"" firing unknown invalid malformed false the alert has no alertname label
"" firing unknown invalid malformed false not an alert: it is a JSON number
`, strings.ReplaceAll(got, `\x1b`, "�"))

	_, table, _ := run(t, in, nil, "explain", "-")
	require.NotContains(t, table, "\x1b", "what an alert says does not steer the terminal")
	require.Len(t, strings.Split(strings.TrimSpace(table), "\n"), 7)
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
		"no such command":      {args: []string{"serve"}, code: 2, problem: "usage"},
		"no file":              {args: []string{"explain"}, code: 2, problem: "usage"},
		"no such flag":         {args: []string{"explain", "-x", "-"}, code: 2, problem: "not defined: -x"},
		"no such form":         {args: []string{"config", "-o", "yaml"}, code: 2, problem: "use text or json"},
		"a file that is not":   {args: []string{"explain", "nowhere.json"}, code: 1, problem: "nowhere.json"},
		"a file too large":     {args: []string{"explain", large}, code: 1, problem: "more than"},
		"no JSON":              {args: []string{"explain", "-"}, in: "x", code: 1, problem: "no Prometheus alerts in it"},
		"an event of none":     {args: []string{"explain", "-"}, in: `{"specversion":"1.0","type":"t","source":"/s","id":"7","data":{}}`, code: 1, problem: "event 7"},
		"a wrong variable":     {args: []string{"explain", "-"}, environment: map[string]string{"FINGERPRINT": "x"}, code: 1, problem: "FINGERPRINT"},
		"no such kubeconfig":   {args: []string{"explain", "-kubeconfig", "nowhere", "-"}, in: `{"labels":{"alertname":"A"}}`, code: 1, problem: "nowhere"},
		"a wrong setting":      {args: []string{"config"}, code: 1, problem: "AUDIT_SINK: required"},
		"an argument too many": {args: []string{"config", "x"}, code: 2, problem: "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, problems := run(t, row.in, row.environment, row.args...)
			require.Equal(t, row.code, code)
			require.Contains(t, problems, row.problem)
		})
	}
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
