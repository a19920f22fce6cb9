//go:build !race

package dedup

import (
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// late makes duplicates: a decides to follow an object that retention then deletes,
// and b, who sees nothing, is acknowledged before a creates.
var late = []string{"h0(a) list", "retention deletes *", "h1(b) list", "h1(b) create *", "h1(b) list", "h0(a) create *"}

// kept are schedules that once broke the protocol, or would break it without a
// part of it. A script is the steps that matter, as patterns; after it, the
// first handler that can goes on.
var kept = map[string]struct {
	was string
	scenario
	script    []string
	decisions []mapping.Decision // what the deliveries are told, if it matters
}{
	"recurrences of one second": {
		was:      "the newest by creation time and name was an older one, so its successor's name was taken for ever",
		scenario: scenario{Events: "a b", Setup: "terminal", Budget: budget{Complete: 1}},
		script:   []string{"h0(a) list", "h0(a) create *", "h0(a) list", "completes *"},
	},
	"a look that fails for good": {
		was:      "the first delivery was settled, the other made a duplicate and could not look, and nobody came again",
		scenario: scenario{Events: "a a", Setup: "terminal", Budget: budget{Retain: 1, FailLast: 1}},
		script:   []string{"h0(a) list", "retention deletes *", "h1(a) list", "h1(a) create *", "h1(a) list", "h0(a) create *", "h0(a) list fails for good"},
	},
	"AlreadyExists is no success": {
		was:      "b was acknowledged and on no object",
		scenario: scenario{Events: "a b"},
		script:   []string{"h0(a) list", "h1(b) list", "h0(a) create *", "h1(b) create *"},
	},
	"the holder of the name is terminal": {
		was:      "b was counted on a remediation that had ended",
		scenario: scenario{Events: "a b", Budget: budget{Complete: 1}},
		script:   []string{"h0(a) list", "h1(b) list", "h0(a) create *", "h0(a) list", "completes *", "h1(b) create *"},
	},
	"a hash collision in an older past": {
		was:      "a salt outlived the name that it was for, so two that saw the same past chose two names",
		scenario: scenario{Events: "a b b", Setup: "collision", Budget: budget{Complete: 2}},
		script: []string{
			"h1(b) list", "h1(b) create *", "h1(b) list", "h1(b) create *", "h1(b) get *",
			"h0(a) list", "h0(a) create *", "h0(a) list", "h0(a) create *", "h0(a) get *", "h0(a) list", "h0(a) create *", "h0(a) list", "completes *",
			"h2(b) list", "h1(b) list", "h2(b) create *", "h2(b) list", "completes *", "h1(b) create *",
		},
	},
	"retention between two Lists": {
		was:      "both had created, and nobody looked",
		scenario: scenario{Events: "a b", Setup: "terminal", Budget: budget{Retain: 1}},
		script:   []string{"h0(a) list", "retention deletes *", "h1(b) list", "h1(b) create *", "h0(a) create *"},
	},
	"a crash before the look": {
		was:      "only who had made a duplicate merged it, and the redelivery found its key on record",
		scenario: scenario{Events: "a b", Setup: "terminal", Budget: budget{Retain: 1, FailAfter: 1}},
		script:   append(slices.Clip(late[:5]), "h0(a) create * fails after"),
	},
	"a crash between merge and delete": {
		was:      "the redelivery added the duplicate's count again",
		scenario: scenario{Events: "a b", Setup: "terminal", Budget: budget{Retain: 1, FailBefore: 1}},
		script:   append(slices.Clip(late), "h0(a) list", "h0(a) patch *", "h0(a) delete * fails before"),
	},
	"a count between merge and delete": {
		was:      "c went with the duplicate that it was counted on",
		scenario: scenario{Events: "a b c", Setup: "terminal", Budget: budget{Retain: 1}},
		script:   append(slices.Clip(late[:5]), "h2(c) list", "h0(a) create *", "h0(a) list", "h0(a) patch *", "h2(c) patch *", "h0(a) delete *"),
	},
	"a duplicate's own maker merges it": {
		was:       "a was told that it made an object, which it had just deleted",
		scenario:  scenario{Events: "a b", Setup: "terminal", PerSecond: 1, Budget: budget{Retain: 1}},
		script:    late,
		decisions: []mapping.Decision{mapping.Duplicate, mapping.New},
	},
	"a count that crashes": {
		was:      "the redelivery counted b again",
		scenario: scenario{Events: "a b", Budget: budget{FailAfter: 1}},
		script:   []string{"h0(a) list", "h0(a) create *", "h0(a) list", "h1(b) list", "h1(b) patch * fails after"},
	},
	"an old wish for quiet": {
		was:      "any terminal object that asked for quiet held up all alerts after the next one too",
		scenario: scenario{Events: "a", Setup: "review-before-last", PerSecond: 1},
	},
	"a wish for quiet after a gap": {
		was:      "the last by name asked for nothing, the last one made asked for quiet",
		scenario: scenario{Events: "a", Setup: "review-after-gap", PerSecond: 1},
	},
}

// scripted chooses the steps of a script, each a pattern of labels, and then the first there is.
// All of the script must happen.
func scripted(t *testing.T, script []string) func([]step) int {
	t.Helper()
	t.Cleanup(func() { require.Empty(t, script) })
	return func(steps []step) int {
		if len(script) == 0 {
			return 0
		}
		i := slices.IndexFunc(steps, func(s step) bool { ok, _ := path.Match(script[0], s.label); return ok })
		require.NotEqual(t, -1, i, "%s cannot happen", script[0])
		script = script[1:]
		return i
	}
}

func TestKeptSchedules(t *testing.T) {
	for name, row := range kept {
		t.Run(name, func(t *testing.T) {
			r, s, _ := play(row.scenario, handlers{}, scripted(t, row.script))
			require.NoError(t, r.check(), "%s\n%s", row.was, s.command())
			for i, want := range row.decisions {
				require.Equal(t, want, r.deliveries[i].outcomes[0].Reason.Decision(), "I4: %s", row.was)
			}
		})
	}
}
