//go:build !race

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
		s.setPhase(o.name, completed)
	}
}

// collision puts another fingerprint's object where the first name would be.
func collision(s *store) {
	_, name := follow(nil, digest("fingerprint"), 0)
	s.addForeign(digest("another"), name)
}

// pruning makes the store a foreign CRD's.
func pruning(s *store) { s.prunes = true }

var scenarios = map[string]scenario{
	"several alerts of one event":    {events: []string{"a,b", "b,c"}, budget: budget{failAfter: 1}},
	"several alerts and retention":   {events: []string{"a,b", "c"}, setup: terminalBefore, budget: budget{retain: 1, failAfter: 1}},
	"a resolved alert alone":         {events: []string{resolvedAlert, resolvedAlert}},
	"a resolved alert among others":  {events: []string{"a", resolvedAlert, "b"}, budget: budget{complete: 1}},
	"a resolved alert and twins":     {events: []string{"a", "b", resolvedAlert}, setup: terminalBefore, budget: budget{retain: 1}},
	"redelivery and completion":      {events: []string{"a", "a", "b"}, budget: budget{complete: 1, failAfter: 1}},
	"a hash collision":               {events: []string{"a", "b"}, setup: collision, budget: budget{failAfter: 1}},
	"a CRD that prunes our record":   {events: []string{"a", "b", "a"}, setup: pruning, budget: budget{failAfter: 1}},
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
			t.Parallel()
			e, broken, err := explore(sc, 25_000)
			if err != nil {
				t.Fatalf("%v\nschedule:\n  %s", err, strings.Join(broken.trace, "\n  "))
			}
			t.Logf("%+v", e)
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
