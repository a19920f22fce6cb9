package deadletters

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// clocked is a quota on a clock of the test's own, with what is counted.
type clocked struct {
	*quota
	at     time.Time
	there  usage
	fails  error
	counts int
}

func newClocked(most usage) *clocked {
	c := &clocked{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	c.quota = newQuota(most, func(context.Context) (usage, error) { c.counts++; return c.there, c.fails })
	c.now = func() time.Time { return c.at }
	return c
}

func TestHowLongACountIsBelieved(t *testing.T) {
	c := newClocked(usage{letters: 3, bytes: 100})
	for _, step := range []struct {
		later  time.Duration
		counts int
	}{{0, 1}, {usageAge - 1, 1}, {1, 2}} {
		c.at = c.at.Add(step.later)
		_, err := c.waiting(t.Context())
		require.NoError(t, err)
		require.Equal(t, step.counts, c.counts)
	}
	c.at = c.at.Add(fullAge)
	_, err := c.reserve(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, 2, c.counts, "there is room")
	c.there = usage{letters: 3, bytes: 3}
	for _, step := range []struct {
		later time.Duration
		full  bool
		count int
	}{{usageAge, true, 3}, {fullAge - 1, true, 3}, {1, true, 4}} {
		c.at = c.at.Add(step.later)
		_, err := c.reserve(t.Context(), 1)
		require.ErrorIs(t, err, errFull)
		require.Equal(t, step.count, c.counts)
	}
}

func TestTheLastRoomIsTaken(t *testing.T) {
	for reason, row := range map[string]struct {
		there usage
		size  int64
		fits  bool
	}{
		"the last letter": {usage{2, 0}, 1, true},
		"one too many":    {usage{3, 0}, 1, false},
		"the last byte":   {usage{0, 90}, 10, true},
		"a byte too many": {usage{0, 90}, 11, false},
	} {
		t.Run(reason, func(t *testing.T) {
			c := newClocked(usage{letters: 3, bytes: 100})
			c.there = row.there
			_, err := c.reserve(t.Context(), row.size)
			require.Equal(t, row.fits, err == nil)
		})
	}
}

func TestRoomThatWasNotNeededIsGivenBackOnce(t *testing.T) {
	c := newClocked(usage{letters: 3, bytes: 100})
	giveBack, err := c.reserve(t.Context(), 10)
	require.NoError(t, err)
	known, err := c.waiting(t.Context())
	require.NoError(t, err)
	require.Equal(t, usage{1, 10}, known)
	giveBack(t.Context())
	known, err = c.waiting(t.Context())
	require.NoError(t, err)
	require.Equal(t, usage{}, known)

	giveBack, err = c.reserve(t.Context(), 10)
	require.NoError(t, err)
	c.at, c.there = c.at.Add(usageAge), usage{2, 20}
	_, err = c.waiting(t.Context())
	require.NoError(t, err)
	giveBack(t.Context())
	known, err = c.waiting(t.Context())
	require.NoError(t, err)
	require.Equal(t, usage{2, 20}, known, "a new count does not know of it")
}

func TestACountThatFailsOrIsWaitedForIsAnError(t *testing.T) {
	c := newClocked(usage{letters: 1, bytes: 100})
	c.fails = errors.New("away")
	_, err := c.reserve(t.Context(), 1)
	require.ErrorContains(t, err, "counting dead letters: away")
	require.NotErrorIs(t, err, errFull)
	c.fails = nil
	giveBack, err := c.reserve(t.Context(), 1)
	require.NoError(t, err)
	c.fails, c.at = errors.New("away"), c.at.Add(fullAge)
	_, err = c.reserve(t.Context(), 1)
	require.ErrorContains(t, err, "counting dead letters: away", "nobody knows whether there is room")

	c.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.reserve(ctx, 1)
	require.ErrorContains(t, err, "waiting for a count of dead letters: context canceled")
	_, err = c.waiting(ctx)
	require.ErrorContains(t, err, "waiting for a count of dead letters: context canceled")
	giveBack(ctx) // It does not wait for its turn.
	<-c.turn
	require.Equal(t, usage{1, 1}, c.known)
}

func TestWhatDoesNotSayItsSizeIsTakenForTheLargest(t *testing.T) {
	for said, want := range map[string]int64{"0": 0, "7": 7, "10": 10, "": maxKept, "many": maxKept, "-1": maxKept, strconv.Itoa(maxKept): maxKept, strconv.Itoa(maxKept + 1): maxKept} {
		k := startKube(t)
		k.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: "x", Labels: map[string]string{deadLetterLabel: "true"}, Annotations: map[string]string{bytesAnnotation: said}}})
		s, err := k.api(t).count(t.Context())
		require.NoError(t, err)
		require.Equal(t, usage{1, want}, s, said)
	}
}
