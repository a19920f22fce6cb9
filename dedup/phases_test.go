package dedup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// The contract's own list stands here, a second time, so that a change of the
// code's shows.
func TestOnlyATerminalPhaseLetsANewObjectBeMade(t *testing.T) {
	var terminal []string
	for phase, row := range map[string]struct {
		terminal bool
		reason   string
	}{
		"Completed": {true, "the repair is done"},
		"Failed":    {true, "the repair failed"},
		"TimedOut":  {true, "the repair took too long"},
		"Skipped":   {true, "nothing was to be repaired"},
		"Cancelled": {true, "somebody ended the repair"},

		"":           {false, "no controller has begun"},
		"Pending":    {false, "a controller works on it"},
		"Processing": {false, "a controller works on it"},
		"Executing":  {false, "a controller works on it"},
		"Verifying":  {false, "a controller works on it"},
		"Blocked":    {false, "it waits, and will go on"},
		"Succeeded":  {false, "it is unknown"},
		"Canceled":   {false, "it is unknown: only one spelling is terminal"},
		"completed":  {false, "it is unknown: case counts"},
	} {
		t.Run(phase, func(t *testing.T) {
			o := read(t, fmt.Sprintf(`{"metadata":{"name":"a","uid":"u"},"status":{"overallPhase":%q}}`, phase))
			v := decide(digest("f"), past{objects: []object{o}, keys: []string{"k"}, now: epoch})
			want := verdict{action: count, reason: mapping.ActiveForeign}
			if row.terminal {
				want = verdict{action: create, reason: mapping.Recurred}
			}
			require.Equal(t, want.action, v.action, row.reason)
			require.Equal(t, want.reason, v.reason, row.reason)
			require.Equal(t, row.terminal, strings.Contains(notEnded+",", ",status.overallPhase!="+phase+","), "the List of what is active leaves out")
		})
		if row.terminal {
			terminal = append(terminal, phase)
		}
	}
	require.ElementsMatch(t, terminal, TerminalPhases())
}
