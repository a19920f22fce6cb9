package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// slow is an operation that takes a while and notes what it was called with.
func slow(took time.Duration) (operation, *sync.Map) {
	var seen sync.Map
	return func(_ context.Context, i int) error {
		time.Sleep(took) // In a bubble of synctest: its clock moves on, and nothing waits.
		seen.Store(i, true)
		return nil
	}, &seen
}

func TestClosedStopsAtTheLimitAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do, seen := slow(time.Second)
		s, err := closed(4, 10, time.Hour)(t.Context(), do)
		require.NoError(t, err)
		require.Len(t, s.latencies, 10)
		require.Equal(t, 3*time.Second, s.elapsed)
		for i := range 10 {
			_, ok := seen.Load(i)
			require.True(t, ok, "operation %d", i)
		}
		s, err = closed(4, 1000, 5*time.Second)(t.Context(), do)
		require.NoError(t, err)
		require.Len(t, s.latencies, 20)
	})
}

func TestPacedCountsFromTheMomentThatWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do, _ := slow(time.Second)
		s, err := paced(10, 1000, 2*time.Second)(t.Context(), do)
		require.NoError(t, err)
		require.Len(t, s.latencies, 20)
		require.Equal(t, 2900*time.Millisecond, s.elapsed, "later ones do not wait for earlier ones")
		require.InDelta(t, 1000, percentile(s.latencies, 100), 1e-6)
		_, err = paced(0.1, 1000, time.Second)(t.Context(), do)
		require.Error(t, err, "nothing would be measured")
	})
}

func TestPacedWaitsWhenTooManyAreOpenAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do, _ := slow(10 * time.Second)
		s, err := paced(maxOpen, 2*maxOpen, 2*time.Second)(t.Context(), do)
		require.NoError(t, err)
		require.Greater(t, percentile(s.latencies, 100), 15_000., "the wait is part of the latency")
	})
}

func TestBurstsComeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do, seen := slow(time.Second)
		s, err := bursts(10, time.Second, 30, time.Hour)(t.Context(), do)
		require.NoError(t, err)
		require.Len(t, s.latencies, 30)
		require.Equal(t, 6*time.Second, s.elapsed)
		_, beyond := seen.Load(30)
		require.False(t, beyond)
	})
}

func TestLoadsEndWithTheFirstError(t *testing.T) {
	wrong := errors.New("wrong")
	for name, l := range map[string]load{
		"closed": closed(4, 1000, time.Hour), "paced": paced(1000, 1000, time.Second), "bursts": bursts(10, 0, 1000, time.Hour),
	} {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int64
			_, err := l(t.Context(), func(context.Context, int) error {
				calls.Add(1)
				return wrong
			})
			require.ErrorIs(t, err, wrong, name)
			require.Less(t, calls.Load(), int64(1000), name)
		})
	}
}

func TestMixedNumbersEachKindWithoutGaps(t *testing.T) {
	next := map[bool]int{}
	for i := range 1000 {
		isNew, nth := mixed(i)
		require.Equal(t, next[isNew], nth)
		next[isNew]++
	}
	require.Equal(t, map[bool]int{true: 200, false: 800}, next)
}
