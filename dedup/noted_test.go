package dedup

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// Where an object of ours and one of others are both active, each is told of the ends
// of the alerts that it counts.
func TestEndsAreNotedOnEveryActiveObject(t *testing.T) {
	s := newStore()
	s.perSecond = 1
	s.addForeign(signal.Fingerprint, "foreign")
	require.Equal(t, "foreign", made(s, "b"))
	s.complete("foreign")
	ours := made(s, "a")
	s.setStatus("foreign", map[string]any{"overallPhase": ""})
	d, err := newDeduplicator(s, Options{SignalType: "alert"})
	require.NoError(t, err)
	require.Equal(t, []mapping.Reason{mapping.ResolvedActive, mapping.ResolvedActive}, resolve(t, d, "-b", "-a"))
	for _, name := range []string{"foreign", ours} {
		require.False(t, s.seen[name].lastResolved.IsZero(), name)
	}
}

// Of too many differences the same ones are named each time.
func TestTheSameDifferencesAreNamedEachTime(t *testing.T) {
	many, want := map[string]string{}, map[string]string{}
	for i := range 2 * maxDifferences {
		name := fmt.Sprintf("l%02d", i)
		if many[name] = "x"; i < maxDifferences {
			want[name] = "x"
		}
	}
	for range 10 {
		require.Equal(t, want, differences(nil, many))
	}
}

func TestAWarningSaysThatNoRecordIsKept(t *testing.T) {
	require.True(t, KeepsNoRecord([]string{"other", `unknown field "status.conditions[0].message"`}))
	require.False(t, KeepsNoRecord([]string{"other", `unknown field "status.deduplication.events"`}))
	require.False(t, KeepsNoRecord(nil))
}

// Where the phase can be selected, one call is all, and its error is the answer.
func TestAListOfActiveObjectsIsOneCall(t *testing.T) {
	s := newServer(t, 3, 10)
	k := s.connect(t)
	objects, now, err := k.list(t.Context(), "ns", selector{fingerprint: digest("a"), active: true})
	require.NoError(t, err)
	require.NotEmpty(t, objects)
	require.False(t, now.IsZero())
	require.Len(t, s.asked, 1)
	k.reading.left.TryAcquire(maxReading)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = k.list(ended, "ns", selector{fingerprint: digest("a"), active: true})
	require.Error(t, err)
}
