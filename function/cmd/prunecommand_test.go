package cmd

import (
	"bytes"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestThePruneCommandDeletes(t *testing.T) {
	for reason, row := range map[string]struct {
		args    []string
		fault   []fault
		code    int
		left    int
		said    string
		problem string
	}{
		"what is old":                {nil, nil, 0, 0, `"msg":"dead letter deleted"`, ""},
		"nothing, and says what":     {[]string{"-dry-run"}, nil, 0, 1, `"msg":"dead letter would be deleted"`, ""},
		"nothing that it cannot see": {nil, []fault{{status: http.StatusForbidden, reason: metav1.StatusReasonForbidden}}, 1, 1, "prune failed", "onefire: reading dead_letters"},
	} {
		t.Run(reason, func(t *testing.T) {
			f := fix(t, PruneOptions{}, nil)
			f.letter("dead-letter-1", 31*day)
			f.fail("list", row.fault...)
			environment := map[string]string{"KUBECONFIG": kubeconfigFor(t, f.URL), "POD_NAMESPACE": "onefire", "TTL": "0"}
			code, out, problems := run(t, "", environment, append([]string{"prune"}, row.args...)...)
			require.Equal(t, row.code, code, problems)
			require.Len(t, f.left("configmaps"), row.left)
			require.Contains(t, out, row.said)
			require.Contains(t, problems, row.problem)
		})
	}
}

// The log and the progress are on one terminal, so each line of the log begins on a line
// of its own.
func TestTheProgressOfAPruneGivesWayToTheLog(t *testing.T) {
	const clear = "\r\x1b[K"
	for dry, verb := range map[bool]string{false: "deleted", true: "would be deleted"} {
		f := fix(t, PruneOptions{DryRun: dry}, nil)
		f.many(2, 1)
		at := start
		f.shown = &pruneProgress{statusLine{w: &f.logged, now: func() time.Time {
			at = at.Add(progressEvery)
			return at
		}}}
		require.NoError(t, f.prune(t))
		shown := func(text string) string { return "\ronefire: " + text + " " + verb + "\x1b[K" }
		require.Equal(t, shown("dead letters: 0 read, 0")+clear+"LOG"+shown("requests: 2 read, 1")+clear+"LOG"+
			shown("requests: 2 read, 2")+shown("requests: 2 read, 2")+clear+"LOG",
			regexp.MustCompile(`{.*}\n`).ReplaceAllString(f.logged.String(), "LOG"))
	}
}

func TestAPruneShowsItsProgressNowAndThen(t *testing.T) {
	var screen bytes.Buffer
	at := start
	p := &pruneProgress{statusLine{w: &screen, now: func() time.Time { return at }}}
	for i := range 3 {
		p.report("requests", pruneCounts{read: i}, false)
		at = at.Add(progressEvery - time.Duration(1-i%2))
	}
	require.Equal(t, "\ronefire: requests: 0 read, 0 deleted\x1b[K\ronefire: requests: 2 read, 0 deleted\x1b[K", screen.String())
}
