package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// explained is what explain says of an input, as JSON.
func explained(t *testing.T, in string, environment map[string]string, args ...string) (all []explanation, problems string) {
	t.Helper()
	code, out, problems := run(t, in, environment, append(append([]string{"explain", "-o", "json"}, args...), "-")...)
	require.Zero(t, code, problems)
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	return all, problems
}

func TestOnlyAWholeEventIsTakenForOne(t *testing.T) {
	const event = `{"specversion":"1.0","type":"t","source":"/s","id":"7","data":{"alerts":[{"labels":{"alertname":"A"}}]}}`
	for in, want := range map[string]string{
		`{"specversion":"1.0","labels":{"alertname":"A"}}`:     "A",
		`[{"specversion":"1.0","labels":{"alertname":"A"}}]`:   "A",
		"[" + event + `,{"labels":{"alertname":"B"}}]`:         " B",
		"[" + strings.ReplaceAll(event, `"id":"7",`, "") + "]": "",
		"[" + event + "]": "A",
		"[" + event + "," + strings.ReplaceAll(event, `{"alertname":"A"}`, `{"alertname":"B"}`) + "]": "A B",
	} {
		all, _ := explained(t, in, nil)
		var names []string
		for _, e := range all {
			names = append(names, e.Alertname)
		}
		require.Equal(t, want, strings.Join(names, " "), in)
	}
}

func TestWhatCannotBeReadIsNotExplained(t *testing.T) {
	most := filepath.Join(t.TempDir(), "most")
	require.NoError(t, os.WriteFile(most, make([]byte, maxInput), 0o600))
	for reason, row := range map[string]struct{ in, name, problem string }{
		"as large as may be":     {"", most, "no Prometheus alerts in it"},
		"a folder":               {"", t.TempDir(), "reading the alerts: read "},
		"an event without an id": {`{"specversion":"1.0","type":"t","source":"/s","data":{"alerts":[{"labels":{"alertname":"A"}}]}}`, "-", "no Prometheus alerts in it"},
		"a list of nothing":      {"[]", "-", "no Prometheus alerts in it"},
	} {
		t.Run(reason, func(t *testing.T) {
			code, out, problems := run(t, row.in, nil, "explain", row.name)
			require.Equal(t, 1, code)
			require.Empty(t, out)
			require.Contains(t, problems, row.problem)
		})
	}
}

func TestASingleAlertThatWasLeftOutIsSaid(t *testing.T) {
	_, problems := explained(t, `{"truncatedAlerts":1,"alerts":[{"labels":{"alertname":"A"}}]}`, nil)
	require.Contains(t, problems, "Alertmanager left out 1 alert")
}

// The identity of an event is its source and its id.
func TestEventsOfTwoSourcesAreTwoEvents(t *testing.T) {
	event := func(source string) string {
		return fmt.Sprintf(`{"specversion":"1.0","type":"t","source":%q,"id":"1","data":{"labels":{"alertname":"A"},"startsAt":"2026-01-17T11:00:00Z"}}`, source)
	}
	all, _ := explained(t, "["+event("/a")+","+event("/b")+","+event("/a")+"]", nil)
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprint(e.Reason, " ", e.Count))
	}
	require.Equal(t, []string{"first_seen 1", "active 2", "replayed_new 1"}, got)
}

func TestEachObjectThatAlertsFoldIntoHasItsLine(t *testing.T) {
	alert := func(name, pod string) string {
		return fmt.Sprintf(`{"labels":{"alertname":%q,"pod":%q,"namespace":"shop"}}`, name, pod)
	}
	in := "[" + strings.Join([]string{alert("A", "p"), alert("B", "p"), alert("A", "q"), alert("C", "q")}, ",") + "]"
	code, out, problems := run(t, in, map[string]string{"FINGERPRINT": "resource"}, "explain", "-")
	require.Zero(t, code, problems)
	require.Regexp(t, `\nA \(unknown\), B \(unknown\) fold into the same object: .*\nA \(unknown\), C \(unknown\) fold into the same object: .*\n$`, out)
}

func TestAnExplanationNamesTheRuleThatChoseTheTarget(t *testing.T) {
	all, _ := explained(t, `{"labels":{"alertname":"A","pod":"p","namespace":"shop"}}`, nil)
	require.NotEmpty(t, all[0].ChosenBy)
	require.Contains(t, all[0].ChosenBy, "pod")
}
