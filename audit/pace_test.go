package audit

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The tests of this file run on a clock of their own, over a network of one
// function: nothing in them takes time, and every wait is exact.

func TestRetryAfterIsKeptToTheSecond(t *testing.T) {
	const usual = -1 * time.Second
	tests := map[string]struct {
		code   int
		header func(now time.Time) string
		want   time.Duration
	}{
		"429, seconds":              {429, func(time.Time) string { return "7" }, 7 * time.Second},
		"503, seconds":              {503, func(time.Time) string { return "7" }, 7 * time.Second},
		"429, a date":               {429, in(7 * time.Second), 7 * time.Second},
		"503, a date":               {503, in(7 * time.Second), 7 * time.Second},
		"no seconds":                {503, func(time.Time) string { return "0" }, 0},
		"a date in the past":        {503, in(-time.Hour), 0},
		"almost all of the time":    {503, func(time.Time) string { return "11" }, maxElapsed - time.Second},
		"nonsense is not a wait":    {503, func(time.Time) string { return "soon" }, usual},
		"less than nothing neither": {503, func(time.Time) string { return "-7" }, usual},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var times []time.Time
				s := over(t, plays(&times, status(tt.code, "Retry-After", tt.header(time.Now())), status(201)))
				require.NoError(t, one(t.Context(), s, sample()))
				require.Len(t, times, 2)
				pause := times[1].Sub(times[0])
				if tt.want == usual {
					require.InDelta(t, firstPause, pause, float64(firstPause)/2)
					return
				}
				require.Equal(t, tt.want, pause)
			})
		})
	}
}

// in is a Retry-After that names the time after a while.
func in(d time.Duration) func(time.Time) string {
	return func(now time.Time) string { return now.Add(d).UTC().Format(http.TimeFormat) }
}

func TestRetryAfterBeyondTheBoundGivesUpAtOnce(t *testing.T) {
	for name, header := range map[string]func(time.Time) string{
		"seconds": func(time.Time) string { return "13" },
		"a date":  in(maxElapsed + time.Second),
		"a day":   in(24 * time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var times []time.Time
				begun := time.Now()
				s := over(t, plays(&times, says(503, "closed", "Retry-After", header(begun)), status(201)))
				err := one(t.Context(), s, sample())
				require.Equal(t, unavailable, verdictOf(err))
				require.ErrorContains(t, err, "503 closed")
				require.Len(t, times, 1)
				require.Zero(t, time.Since(begun))
			})
		})
	}
}

func TestPausesGrowWithinTheirBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		require.Error(t, one(t.Context(), over(t, plays(&times, status(503))), sample()))
		require.Len(t, times, maxAttempts)
		expected := firstPause
		for i := range times[1:] {
			pause := times[i+1].Sub(times[i])
			// The jitter is half a pause to either side.
			require.InDelta(t, expected, pause, float64(expected)/2+1)
			require.LessOrEqual(t, pause, maxPause*3/2)
			expected = min(expected*3/2, maxPause)
		}
	})
}

func TestHangingSinkLeavesTimeForAnotherAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		begun := time.Now()
		s := over(t, func(r *http.Request) (*http.Response, error) {
			if attempts++; attempts == 1 {
				return hangs(r)
			}
			return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody}, nil
		})
		require.NoError(t, one(t.Context(), s, sample()))
		require.Equal(t, 2, attempts)
		require.Less(t, time.Since(begun), attemptTimeout+2*firstPause)
	})
}

func TestSinkThatHangsForEverIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		err := one(t.Context(), over(t, hangs), sample())
		require.Equal(t, unavailable, verdictOf(err))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, maxElapsed, time.Since(begun), "an attempt begun before the bound ends there")
	})
}

func TestDeliverDoesNotWaitForAnAttemptBeyondItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var times []time.Time
		err := one(ctx, over(t, plays(&times, says(503, "busy", "Retry-After", "10"))), sample())
		require.Equal(t, unavailable, verdictOf(err))
		require.ErrorContains(t, err, "503 busy", "the sink's words say more than that time ran out")
		require.Len(t, times, 1)
		require.Zero(t, time.Since(begun))
	})
}

func TestWhoCannotWaitForTheSinkIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		s := over(t, plays(&times, status(429, "Retry-After", "20"), status(201)))
		require.ErrorContains(t, one(t.Context(), s, sample()), "429")
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.ErrorContains(t, one(ctx, s, another()), "not available until")
		require.Zero(t, time.Since(begun))
		require.NoError(t, one(t.Context(), s, another()))
		require.Len(t, times, 2)
		require.Equal(t, 20*time.Second, times[1].Sub(times[0]))
	})
}

func TestDeliverReturnsWhenCancelledBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var times []time.Time
		s := over(t, plays(&times, says(503, "busy", "Retry-After", "10")))
		time.AfterFunc(time.Second, cancel)
		begun := time.Now()
		require.ErrorContains(t, one(ctx, s, sample()), "503 busy")
		require.Len(t, times, 1)
		require.Equal(t, time.Second, time.Since(begun))
	})
}

func TestDeliverWithNoTimeLeftDoesNotTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var times []time.Time
		err := one(ctx, over(t, plays(&times, status(201))), sample())
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, times)
		require.Zero(t, time.Since(begun))
	})
}

func TestPausesBeginAnewAfterASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		fails := status(503)
		s := over(t, plays(&times, fails, fails, fails, status(201), fails, status(201)))
		require.NoError(t, one(t.Context(), s, sample()))
		require.NoError(t, one(t.Context(), s, another()))
		require.InDelta(t, firstPause, times[5].Sub(times[4]), float64(firstPause)/2)
	})
}

// After one failure more and more the pauses are long, within their bound.
func TestPausesGrowToTheirBound(t *testing.T) {
	p, now := newPace(8, false), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	longest := time.Duration(0)
	for range 50 {
		p.fail(now, now.Add(1), -1)
		longest = max(longest, p.until.Sub(now.Add(1)))
		now = p.until.Add(1)
	}
	require.Greater(t, longest, maxPause)
	require.LessOrEqual(t, longest, maxPause*3/2)
}

// The posts that may be under way at once grow by one with each round of them.
func TestTheBoundOfPostsOpensByOneARound(t *testing.T) {
	p := newPace(8, false)
	p.size = 1
	for round := 1; round < 8; round++ {
		require.InDelta(t, round, p.size, 0.4)
		for range round {
			p.quick(time.Now())
		}
	}
	for range 20 {
		p.quick(time.Now())
	}
	require.InDelta(t, 8, p.size, 0)
	p.used = 7
	require.True(t, p.free())
	p.used = 8
	require.False(t, p.free())
}

// A process makes as many requests a second as DataStorage takes, half as many when it takes
// no more, never fewer than one, and two more with each second of answers.
func TestTheBoundOfRequestsFollowsWhatIsRefused(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := newPace(8, true)
	for range maxRequests {
		require.Equal(t, now, p.reserve(now))
	}
	require.Equal(t, now.Add(time.Second/maxRequests), p.next(now))
	require.Equal(t, now.Add(time.Second/maxRequests), p.reserve(now), "places are taken in turn")
	require.Equal(t, now.Add(2*time.Second/maxRequests), p.next(now))
	later := now.Add(time.Minute)
	require.Equal(t, later, p.next(later))

	p.deny(now.Add(time.Second), later)
	require.InDelta(t, maxRequests/2, float64(p.requests.Limit()), 0)
	require.Equal(t, later.Add(2*time.Second/maxRequests), p.next(later), "what was saved is gone")
	p.deny(now.Add(2*time.Second), later)
	require.InDelta(t, maxRequests/2, float64(p.requests.Limit()), 0, "requests that began together count once")
	for range 2 * maxRequests {
		later = later.Add(time.Second)
		p.deny(later, later)
	}
	require.InDelta(t, minRequests, float64(p.requests.Limit()), 0)
	for second := 1; p.requests.Limit() < maxRequests-moreRequests; second++ {
		before := p.requests.Limit()
		for range int(before) {
			later = later.Add(time.Second / time.Duration(before))
			p.quick(later)
		}
		require.InDelta(t, moreRequests, float64(p.requests.Limit()-before), 0.6, "second %d", second)
	}
	for range 2 * maxRequests {
		p.quick(later)
	}
	require.InDelta(t, maxRequests, float64(p.requests.Limit()), 0)
}

// After a rest no more requests are made at once than are made in a second.
func TestARestSavesRequestsOfOneSecond(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := newPace(8, true)
	p.deny(now, now)
	now = now.Add(time.Hour)
	for range maxRequests / 2 {
		require.Equal(t, now, p.reserve(now))
	}
	require.Equal(t, now.Add(2*time.Second/maxRequests), p.next(now))
}

// The longest of the pauses that the sink asked for counts.
func TestAShorterPauseEndsNoLongerOne(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := newPace(8, false)
	p.fail(now, now, 10*time.Second)
	p.fail(now.Add(1), now.Add(2), time.Second)
	require.Equal(t, now.Add(10*time.Second), p.next(now))
}

// A sink that is not DataStorage has no bound of requests.
func TestOtherSinksHaveNoBoundOfRequests(t *testing.T) {
	now := time.Now()
	p := newPace(8, false)
	p.deny(now, now)
	require.Equal(t, now, p.reserve(now))
	require.True(t, p.next(now).IsZero())
}

func TestReadyDoesNotWaitForASinkThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		require.ErrorIs(t, over(t, hangs).Ready(t.Context()), context.DeadlineExceeded)
		require.Equal(t, readyTimeout, time.Since(begun))
	})
}
