//go:build !race

// One goroutine runs a schedule, so the race detector has nothing to find here.

package dedup

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The schedules are explored with a retention that deletes any ended object. Prune
// may delete no others; of ours, only quiet and young ones stay.
func TestWhatPruneDeletesIsWhatTheSchedulesDelete(t *testing.T) {
	pruned := 0
	for _, phase := range append(TerminalPhases(), "", "Pending", "Executing", "Blocked", "unknown") {
		for _, owner := range []string{"onefire", "somebody"} {
			for _, deleting := range []string{"", `,"deletionTimestamp":"` + ago(time.Hour) + `"`} {
				for _, more := range []string{"", `,"outcome":"ManualReviewRequired"`, `,"nextAllowedExecution":"` + ago(-time.Hour) + `"`} {
					text := strings.Replace(ending(fmt.Sprintf(`"overallPhase":%q%s`, phase, more), deleting), "onefire", owner, 1)
					o, times := readEnd(t, text)
					r := newRun(scenario{Events: "a", Setup: "nothing", Budget: budget{Retain: 1}}, handlers{})
					r.seen[o.name] = seen{object: o}
					r.objects[o.name] = nil
					retained := slices.ContainsFunc(r.steps(), func(s step) bool { return s.label == "retention deletes o" })
					prunes := o.prunable(times, epoch, week)
					require.Equal(t, retained && owner == "onefire" && more == "", prunes, text)
					if prunes {
						pruned++
					}
				}
			}
		}
	}
	require.Equal(t, len(terminalPhases), pruned)
}
