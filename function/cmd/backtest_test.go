package cmd

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// reported is the report of a backtest.
func reported(t *testing.T, s *server, code int, environment map[string]string, args ...string) (r report) {
	t.Helper()
	got, out, problems := quick(t, s.URL, environment, append(args, "-o", "json")...)
	require.Equal(t, code, got, problems)
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	return r
}

func TestABacktestIsOfAMonthIfNothingElseIsSaid(t *testing.T) {
	s := fired(t, map[string]string{"node": "n"})
	r := reported(t, s, 0, nil)
	require.Equal(t, 30*24*time.Hour, r.To.Sub(r.From))
	require.Equal(t, []string{"1m", "5m", "4h"}, []string{r.Step, r.Gap, r.RepeatInterval})
	r = reported(t, s, 0, nil, "-since", "2d", "-step", "1h", "-repeat-interval", "1d")
	require.Equal(t, []string{"1h", "2h", "1d"}, []string{r.Step, r.Gap, r.RepeatInterval})

	code, out, problems := quick(t, s.URL, nil, "-since", "1h")
	require.Zero(t, code, problems)
	require.Regexp(t, `^What fired from \S+ to \S+, a sample each 1m; the first sample is from \S+\.\nA pause of more than 5m ends a fire\. .*\n\nALERT / TARGET `, out)
	require.True(t, strings.HasSuffix(out, "\n\nNothing to look at.\n"), out)
	_, out, _ = quick(t, fired(t, map[string]string{"instance": "x"}).URL, nil, "-since", "1h")
	require.Contains(t, out, "\n\nWhat to look at:\n- A: no Kubernetes object")
}

func TestABacktestFailsIfThereIsSomethingToLookAt(t *testing.T) {
	r := reported(t, fired(t, map[string]string{"node": "n"}), 0, nil, "-since", "1h", "-fail")
	require.Empty(t, r.Findings)
	r = reported(t, fired(t, map[string]string{"instance": "x"}), 3, nil, "-since", "1h", "-fail")
	require.Len(t, r.Findings, 1)
}

func TestABacktestSeesTheLabelsThatAlertmanagerGets(t *testing.T) {
	s := fired(t, map[string]string{"instance": "x", "replica": "1", "host": "h", "env": "test"}, map[string]string{"instance": "x", "replica": "2", "host": "h", "env": "test"})
	r := reported(t, s, 0, nil, "-since", "1h", "-external-labels", "zone=z,env=prod", "-external-labels", "team=a", "-drop-labels", "replica,host", "-drop-labels", "other")
	require.Len(t, r.Findings, 1)
	require.Contains(t, r.Findings[0].Text, `1 of 1 label set, such as {env="test", instance="x", team="a", zone="z"}: `)
}

func TestTheFindingsOfABacktestAreInOrder(t *testing.T) {
	r := reported(t, fired(t, map[string]string{"pod": "a b"}, map[string]string{"alertname": "B", "instance": "x"}), 0, nil, "-since", "1h")
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Finding+" "+f.Alertname)
	}
	require.Equal(t, []string{"noObject A", "noObject B", "badName A"}, got)
}

func TestAServerWarnsAFewTimesOnly(t *testing.T) {
	s := newServer(t, fail(http.StatusOK, `{"status":"success","warnings":["a","b","a","c","d","e"],"data":{"resultType":"matrix","result":[
		{"metric":{"alertname":"A","pod":"p"},"values":[[1700000000,"1"]]}]}}`), (*httptest.Server).Start)
	_, _, problems := quick(t, s.URL, nil, "-since", "2d")
	require.Equal(t, "onefire: the server warns: a\nonefire: the server warns: b\nonefire: the server warns: c\n", problems)
}

func TestAHistoryThatIsTooLargeEndsABacktest(t *testing.T) {
	h := newHistory(time.Minute, nil, nil)
	h.fires = maxFires
	var a answer
	a.Data.Result = []series{{map[string]string{"alertname": "A"}, minutes(1)}}
	require.ErrorContains(t, h.taking(newProgress(io.Discard, start, start, time.Now))(a), "more than 1000000 fires")
}
