//go:build !race

package dedup

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// At the edge of a span of names two handlers can make an object each, and one alone is
// told so: who could be told too early waits. That depends on creation times that are in
// the order in which objects are stored, and on Lists that are answered by the same
// clock. Without them two can be told, and nothing worse happens: a limit that
// docs/reference.md names.
func TestWhenTwoAreToldThatTheyMadeTheObject(t *testing.T) {
	for what, row := range map[string]struct {
		scenario
		broken bool
	}{
		"two alerts":                          {scenario{Events: "a b", Budget: budget{Edge: 1, Repeat: 1}}, false},
		"an event that is delivered twice":    {scenario{Events: "a a", Budget: budget{Edge: 1, Repeat: 1}}, false},
		"two alerts by clocks that differ":    {scenario{Events: "a b", Setup: "ahead", Budget: budget{Edge: 1}}, true},
		"one that is stamped and stored late": {scenario{Events: "a b", Budget: budget{Edge: 1, Stamp: 1}}, true},
	} {
		t.Run(what, func(t *testing.T) {
			_, found := explore(row.scenario, defaultBound)
			if !row.broken {
				require.Nil(t, found)
				return
			}
			require.NotNil(t, found)
			require.ErrorContains(t, found.err, "I4: ", found.schedule.command())
			t.Log(found.err, found.schedule.command())
		})
	}
}

// Where retention deletes the last ended object between two Lists, the handlers choose
// names that no rule puts in order. If both create within one second, and the first of them
// has been told, the other's object may be the one that stays.
func TestWhenRetentionLetsTwoBeTold(t *testing.T) {
	told := 0
	for _, first := range [][2]string{{"h0(a)", "h1(b)"}, {"h1(b)", "h0(a)"}} {
		script := []string{
			"h0(a) list", "retention deletes *", "h1(b) list",
			first[0] + " create *", first[0] + " list", first[1] + " create *", first[1] + " list",
		}
		r, s, _ := play(scenario{Events: "a b", Setup: "terminal", Budget: budget{Retain: 1}}, handlers{}, scripted(t, script))
		require.NoError(t, r.check(), s.command())
		both := true
		for _, d := range r.deliveries {
			both = both && d.outcomes[0].Reason.Decision() == mapping.New
		}
		if both {
			told++
		}
	}
	require.Equal(t, 1, told, "names decide, and one of them is the smaller")
}
