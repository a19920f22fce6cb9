package dedup

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// The handler recognizes a counted event however old it is, and does nothing else
// for an event that is too old.
func TestWhatIsTooOldIsOnlyLookedFor(t *testing.T) {
	s := newStore()
	counted := &counting{api: s, calls: map[string]int{}}
	d, err := newDeduplicator(counted, Options{SignalType: "alert"})
	require.NoError(t, err)
	outcomes, err := d.Recall(t.Context(), signal, []string{"a"})
	require.NoError(t, err)
	require.Equal(t, []Outcome{{Reason: mapping.TooOld}}, outcomes)
	require.Empty(t, s.all())

	first, err := d.Settle(t.Context(), signal, []string{"a", "b"}, nil)
	require.NoError(t, err)
	for _, phase := range []string{"", "Completed"} {
		if phase != "" {
			s.complete(first[0].Name)
		}
		clear(counted.calls)
		outcomes, err = d.Recall(t.Context(), signal, []string{"c", "b", "a"})
		require.NoError(t, err)
		require.Equal(t, map[string]int{"list": 1}, counted.calls, "it reads, and writes nothing")
		want := []Outcome{{Reason: mapping.TooOld}, first[1], first[0]}
		want[1].Reason, want[2].Reason = mapping.ReplayedDuplicate, mapping.ReplayedNew
		require.Equal(t, want, outcomes, "the key c is not counted")
		foreseen, err := d.Forecast(t.Context(), signal, "a", false)
		require.NoError(t, err)
		require.Equal(t, want[2], foreseen, "a forecast knows it as well")
		foreseen, err = d.Forecast(t.Context(), signal, "c", false)
		require.NoError(t, err)
		require.Contains(t, []mapping.Reason{mapping.Active, mapping.Recurred}, foreseen.Reason)
	}
}

func TestARecallThatCannotReadThePast(t *testing.T) {
	away := errors.New("away")
	d, err := newDeduplicator(&faulty{store: newStore(), lists: []error{away}}, Options{SignalType: "alert"})
	require.NoError(t, err)
	_, err = d.Recall(t.Context(), signal, []string{"a"})
	require.ErrorIs(t, err, away)
}
