//go:build !race

package dedup

import (
	"testing"

	"github.com/stretchr/testify/require"
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
