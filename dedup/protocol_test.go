package dedup

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// terminalBefore leaves one terminal object of ours in the store.
func terminalBefore(s *store) {
	r := play(scenario{events: []string{"old"}, setup: func(inner *store) { *inner = *s }}, func(int) int { return 0 })
	*s = *r.store
	for _, o := range s.all() {
		s.setPhase(o.name, "Completed")
	}
}

var scenarios = map[string]scenario{
	"first alerts":                   {events: []string{"a", "b", "c"}},
	"the same event":                 {events: []string{"a", "a", "a"}},
	"one terminal before":            {events: []string{"a", "b", "c"}, setup: terminalBefore},
	"retention":                      {events: []string{"a", "b", "c"}, setup: terminalBefore, budget: budget{retain: 1}},
	"completion and retention":       {events: []string{"a", "b"}, setup: terminalBefore, budget: budget{complete: 1, retain: 2}},
	"completion":                     {events: []string{"a", "b", "c"}, budget: budget{complete: 1}},
	"completions within one second":  {events: []string{"a", "b", "c"}, setup: terminalBefore, budget: budget{complete: 2}},
	"a user deletes":                 {events: []string{"a", "b"}, budget: budget{userDelete: 1}},
	"a crash and retention":          {events: []string{"a", "b"}, setup: terminalBefore, budget: budget{failAfter: 1, retain: 1}},
	"a fault before and one after":   {events: []string{"a", "b"}, budget: budget{failBefore: 1, failAfter: 1}},
	"redelivery and retention":       {events: []string{"a", "b", "a"}, setup: terminalBefore, budget: budget{retain: 1}},
	"a foreign object":               {events: []string{"a", "b"}, budget: budget{foreign: 1}},
	"foreign, retention and a crash": {events: []string{"a", "b"}, setup: terminalBefore, budget: budget{foreign: 1, retain: 1, failAfter: 1}},
	"everything at once":             {events: []string{"a", "b", "a", "c"}, setup: terminalBefore, budget: budget{2, 2, 2, 2, 1, 1}},
}

// TestEverySchedule explores the schedules of each scenario depth first, up to a
// bound.
func TestEverySchedule(t *testing.T) {
	for name, sc := range scenarios {
		t.Run(name, func(t *testing.T) {
			runs, complete, broken, err := explore(sc, 4_000)
			if err != nil {
				t.Fatalf("%v\nschedule:\n  %s", err, strings.Join(broken.trace, "\n  "))
			}
			t.Logf("%d schedules, all of them: %v", runs, complete)
		})
	}
}

// TestRandomSchedules reaches deeper into the large scenarios.
func TestRandomSchedules(t *testing.T) {
	for name, sc := range scenarios {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				r := play(sc, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "step") })
				require.NoError(t, r.check(), "schedule:\n  %s", strings.Join(r.trace, "\n  "))
			})
		})
	}
}
