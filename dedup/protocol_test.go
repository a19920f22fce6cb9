//go:build !race

package dedup

import (
	"encoding/json"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// defaultBound is enough for all scenarios but the last.
const defaultBound = 250_000

// bound is how many states of a scenario are explored.
var bound = flag.Int("bound", defaultBound, "states to explore of each scenario")

// TestEverySchedule explores the schedules of each scenario depth first.
func TestEverySchedule(t *testing.T) {
	begun := time.Now()
	var states, ends int
	var beyond []string
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			e, broken := explore(sc.scenario, *bound)
			if broken != nil {
				t.Fatalf("%v\n%s", broken.err, broken.schedule.command())
			}
			t.Logf("%d states, %d complete schedules", e.states, e.ends)
			states, ends = states+e.states, ends+e.ends
			if !e.complete {
				beyond = append(beyond, sc.name)
				require.True(t, *bound < defaultBound || sc.name == "everything at once", "it was not explored to its end")
			}
		})
	}
	t.Logf("%d scenarios: %d states, %d complete schedules, %s; all of them but of %q, which were left at %d states",
		len(scenarios), states, ends, time.Since(begun).Round(time.Second), beyond, *bound)
}

// drawn is any scenario of the kind that the explored ones are, and larger.
func drawn(t *rapid.T, setup string) scenario {
	upTo := func(n int, name string) int { return rapid.IntRange(0, n).Draw(t, name) }
	rewrites := 2
	if setup == "earlier" {
		rewrites = 0 // A write of the whole status removes the record of an earlier version.
	}
	return scenario{
		Events:    strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "a,b", "b,c", "a2", "b2", "-a", "-b", "-a2", "-a,-b", "-d,-a"}), 2, 6).Draw(t, "events"), " "),
		Setup:     rapid.SampledFrom([]string{setup, "finalizers " + setup, "pruning " + setup}).Draw(t, "setup"),
		PerSecond: 1 + upTo(2, "perSecond"),
		// A changed label hides the object from batched Lists: a limit of the
		// promise.
		means: means{Batched: rapid.Bool().Draw(t, "batched") && setup != "mislabelled", Replicas: upTo(2, "replicas"), Doubtful: rapid.Bool().Draw(t, "doubtful"), History: upTo(2, "history")},
		Budget: budget{
			FailBefore: upTo(2, "failBefore"), FailAfter: upTo(2, "failAfter"), FailLast: upTo(2, "failLast"), Crash: upTo(2, "crash"),
			Complete: upTo(2, "complete"), Review: upTo(2, "review"), Retain: upTo(2, "retain"), UserDelete: upTo(2, "userDelete"),
			Foreign: upTo(2, "foreign"), Rewrite: upTo(rewrites, "rewrite"), Edge: upTo(2, "edge"), Wait: upTo(1, "wait"), Unlabel: upTo(1, "unlabel"),
			Brake: upTo(1, "brake"), Release: upTo(1, "release"),
		},
	}
}

// rounds is how often each setup gets rapid's number of random schedules.
const rounds = 10

func TestRandomSchedules(t *testing.T) {
	runs, longest := 0, 0
	// Where annotations are taken off, or clocks differ, I2, I4 and I10 have limits: see
	// docs/reference.md.
	apart := func(setup string) bool { return setup == "stripping" || setup == "ahead" }
	for _, setup := range slices.DeleteFunc(slices.Sorted(maps.Keys(setups)), apart) {
		t.Run(setup, func(t *testing.T) {
			hs := handlers{}
			for range rounds {
				rapid.Check(t, func(t *rapid.T) {
					r, s, _ := play(drawn(t, setup), hs, func(steps []step) int { return rapid.IntRange(0, len(steps)-1).Draw(t, "step") })
					runs, longest = runs+1, max(longest, len(s.Choices))
					if err := r.check(); err != nil {
						t.Fatalf("%v\n%s", err, s.command())
					}
				})
			}
		})
	}
	t.Logf("%d random schedules, the longest of %d steps", runs, longest)
}

// twinsSchedule is one in which retention comes between two Lists: two objects
// are made, and one is merged away.
const twinsSchedule = `{"events":"a b","setup":"terminal","budget":{"retain":1},"choices":[0,2,1,0,1]}`

var replayed = flag.String("schedule", twinsSchedule, "the schedule that TestReplay replays, as a failure prints it")

// TestReplay says what happens in one schedule, step by step.
func TestReplay(t *testing.T) {
	var s schedule
	require.NoError(t, json.Unmarshal([]byte(*replayed), &s))
	left := s.Choices
	r, _, labels := play(s.scenario, handlers{}, func(steps []step) int {
		if len(left) == 0 {
			return 0
		}
		i := left[0]
		left = left[1:]
		require.Less(t, i, len(steps))
		return i
	})
	require.Empty(t, left, "the schedule ended before its choices")
	t.Logf("%d steps:\n  %s", len(labels), strings.Join(labels, "\n  "))
	for _, o := range r.all() {
		t.Log("left:", r.seen[o.name].text)
	}
	require.NoError(t, r.check())
	t.Log("all invariants hold")
}
