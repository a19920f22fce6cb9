package dedup

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

func TestTheLimiterBoundsCallsAndKeepsTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimiter(2)
		var all sync.WaitGroup
		begun := time.Now()
		for i := range 6 {
			all.Go(func() {
				release, err := w.acquire(t.Context())
				require.NoError(t, err)
				require.Equal(t, time.Duration(i/2)*time.Second, time.Since(begun), "two at a time, in their order")
				pass(time.Second)
				release()
			})
			synctest.Wait()
		}
		all.Wait()
		require.Zero(t, w.inUse)
	})
}

func TestACallerThatGivesUpLeavesTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimiter(1)
		release, err := w.acquire(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = w.acquire(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		release()
		release, err = w.acquire(t.Context())
		require.NoError(t, err)
		release()
		require.Zero(t, w.inUse)
		require.Empty(t, w.waiting)
	})
}

func TestTheLimitIsHalvedAndRisesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimiter(maxCalls)
		for range 10 {
			w.halve()
		}
		require.InDelta(t, maxCalls/2, w.limit, 0, "refusals of one moment are one")
		for range 10 {
			pass(2 * halvePause)
			w.halve()
		}
		require.InDelta(t, 1, w.limit, 0, "there is always a place")
		for range maxCalls * maxCalls {
			release, err := w.acquire(t.Context())
			require.NoError(t, err)
			release()
		}
		require.InDelta(t, maxCalls, w.limit, 0)
	})
}

// A busy API server answers 429 with a Retry-After: the limit is halved, and the call
// waits for that time.
func TestARefusedCallWaitsAndHalvesTheLimit(t *testing.T) {
	var calls atomic.Int64
	var waited atomic.Int64
	var refused time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			refused = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		waited.Store(int64(time.Since(refused)))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"RemediationRequestList","items":[]}`))
	}))
	defer server.Close()
	k, err := connect(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	_, _, err = k.list(t.Context(), "ns", selector{fingerprint: digest("a")})
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Duration(waited.Load()), time.Second)
	require.EqualValues(t, 2, calls.Load())
	require.InDelta(t, maxCalls/2, k.limiter.limit, 1)
}

func TestAnAnswerIsBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"items":[],"kind":"RemediationRequestList","more":"`))
		for range maxBatchList/1024 + 1 {
			_, _ = w.Write(bytes.Repeat([]byte("a"), 1024))
		}
	}))
	defer server.Close()
	k, err := connect(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	_, _, err = k.list(t.Context(), "ns", selector{})
	require.ErrorIs(t, err, errTooLarge)
}

func TestACallerThatGivesUpLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimiter(1)
		release, err := w.acquire(t.Context())
		require.NoError(t, err)
		next := make(chan func(), 1)
		go func() {
			release, err := w.acquire(t.Context())
			require.NoError(t, err)
			next <- release
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = w.acquire(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.Empty(t, next, "the slot is not free")
		require.Len(t, w.waiting, 1)
		require.Equal(t, 1, w.inUse)
		release()
		(<-next)()
		require.Zero(t, w.inUse)
	})
}

// The limit rises by one with as many calls as it has slots, and a slot more lets another
// caller in at once.
func TestHowTheLimitRises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimiter(4)
		w.limit = 1
		release, err := w.acquire(t.Context())
		require.NoError(t, err)
		in := make(chan func(), 3)
		for range 3 {
			go func() {
				release, err := w.acquire(t.Context())
				require.NoError(t, err)
				in <- release
			}()
			synctest.Wait()
		}
		release()
		synctest.Wait()
		require.InDelta(t, 2, w.limit, 0)
		require.Len(t, in, 2)
		(<-in)()
		require.InDelta(t, 2.5, w.limit, 0)
		(<-in)()
		(<-in)()
		require.Zero(t, w.inUse)
	})
}

func TestWhenTheLimitIsHalvedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimiter(64)
		for _, step := range []struct {
			after time.Duration
			limit float64
		}{{0, 32}, {halvePause, 32}, {1, 16}} {
			pass(step.after)
			w.halve()
			require.InDelta(t, step.limit, w.limit, 0)
		}
	})
}
