package audit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCloseWaitsForThePostsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: 4 * time.Second}
		s, events := d.process(), entries(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, one(ctx, s, events[0]), context.DeadlineExceeded)
		begun := time.Now()
		s.Close()
		require.Equal(t, 3*time.Second, time.Since(begun))
		require.ErrorIs(t, one(t.Context(), s, another()), errClosed)
		require.NoError(t, one(t.Context(), s, events[0]), "it is remembered")
		d.requireOnce(events)
	})
}

func TestCloseHangsUpInTheEndAndAnswersWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: 25 * time.Second}
		s := d.process()
		errs, events := make(chan []error), entries(3)
		go func() { errs <- s.Deliver(t.Context(), events[:2]) }()
		synctest.Wait()
		events[2].Subject = events[1].Subject
		// One that is under way, and one that waits for its end.
		go func() { errs <- s.Deliver(t.Context(), events[1:]) }()
		synctest.Wait()
		begun := time.Now()
		s.Close()
		require.Equal(t, closeWait, time.Since(begun))
		for range 2 {
			for _, err := range <-errs {
				require.Equal(t, unavailable, verdictOf(err))
			}
		}
		require.Empty(t, s.items)
	})
}

func TestASlowStoreGetsFewerPosts(t *testing.T) {
	for reason, row := range map[string]struct {
		answer func(d *store)
		most   int
	}{
		"201 at once":    {func(*store) {}, maxPosts},
		"202":            {func(d *store) { d.before = func(*http.Request, int) *http.Response { return responded(202, "") } }, 1},
		"201 after 6 s":  {func(d *store) { d.took = 6 * time.Second }, 1},
		"400 at once":    {func(d *store) { d.before = func(*http.Request, int) *http.Response { return responded(400, "") } }, maxPosts},
		"201 after 4 s":  {func(d *store) { d.took = 4 * time.Second }, maxPosts},
		"403 at once":    {func(d *store) { d.before = func(*http.Request, int) *http.Response { return responded(403, "") } }, maxPosts},
		"201 after 5 s":  {func(d *store) { d.took = slowAnswer }, maxPosts},
		"a batch of 404": {func(d *store) { d.before = func(*http.Request, int) *http.Response { return responded(404, "") } }, maxPosts},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				row.answer(d)
				s := d.process()
				for range 5 {
					pass(time.Millisecond)
					events := []Event{another(), another()}
					for i := range events {
						events[i].Subject = events[i].Alert
						events[i] = filled(events[i], false, "")
					}
					s.Deliver(t.Context(), events)
				}
				synctest.Wait() // The deliveries have ended; those that ran them may still look at the sink.
				require.Equal(t, row.most, int(s.pace.size))
				d.before, d.took = nil, 0
				s.unbatched = time.Time{}
				for range 40 {
					e := another()
					requireAll(t, s.Deliver(t.Context(), []Event{filled(e, false, "")}))
				}
				require.Equal(t, maxPosts, int(s.pace.size), "it opens again")
			})
		})
	}
}

func TestPostsThatBeganTogetherCountOnce(t *testing.T) {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	later := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	p := newPace(8, false)
	for i := range 8 {
		p.fail(begun, later(10+i), -1)
	}
	require.InDelta(t, 4, p.size, 0)
	require.InDelta(t, firstPause, p.until.Sub(later(10)), float64(firstPause)/2)
	p.fail(begun, later(20), time.Second)
	require.Equal(t, later(1020), p.until, "but what the sink asks for counts")
	p.fail(later(1020), later(1030), -1)
	require.InDelta(t, 2, p.size, 0)
	for i := range 10 {
		p.slow(later(2000+100*i), later(2050+100*i))
	}
	require.InDelta(t, 1, p.size, 0)
	require.True(t, p.free())
}

// Calls that wait for a sink that takes nothing do not each try it in turn.
func TestASinkThatIsDownIsGivenUpForAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 2000
		var requests atomic.Int64
		s := over(t, func(*http.Request) (*http.Response, error) {
			requests.Add(1)
			pass(time.Millisecond)
			return responded(503, ""), nil
		})
		begun := time.Now()
		errs := make(chan error)
		for range calls {
			go func() { errs <- one(t.Context(), s, another()) }()
		}
		for range calls {
			require.Equal(t, unavailable, verdictOf(<-errs))
		}
		require.Less(t, time.Since(begun), maxElapsed)
		require.Less(t, requests.Load(), int64(2*maxConnections))
	})
}

// The sink does not ask for an event that never reached DataStorage.
func TestARequestThatWasNotSentLeavesNoDoubt(t *testing.T) {
	sink := serve(t, status(201))
	sink.Close()
	s := open(t, Options{URL: sink.URL + "/audit/events"})
	require.Equal(t, unavailable, verdictOf(one(t.Context(), s, sample())))
	known, _ := s.memory.memos.Get(sample().id())
	require.False(t, known.doubt)

	dropping := serve(t, drop)
	s = open(t, Options{URL: dropping.URL + "/audit/events"})
	ctx, cancel := context.WithTimeout(t.Context(), singleTimeout/2)
	defer cancel()
	require.Equal(t, unavailable, verdictOf(one(ctx, s, sample())))
	known, _ = s.memory.memos.Get(sample().id())
	require.True(t, known.doubt)
}

// TestOneRowWhateverHappens sends alerts through several processes that are
// replaced, to a store that loses answers, fails, says 429 and locks its table. An
// event has one row in the end. Left out is only what no client can prevent: a
// post that was queued and whose answer was lost.
func TestOneRowWhateverHappens(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 20
	}
	requests := 0
	for seed := range seeds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { requests += storm(t, uint64(seed)) })
		})
	}
	t.Logf("%d seeds, %d requests", seeds, requests)
}

func storm(t *testing.T, seed uint64) int {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	chance := func(percent int) bool {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(100) < percent
	}
	number := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	d := &store{t: t}
	begun := time.Now()
	faulty := func() bool { return time.Since(begun) < 2*time.Minute }
	d.before = func(_ *http.Request, events int) *http.Response {
		switch {
		case !faulty():
		case chance(10):
			return responded(429, "", "Retry-After", strconv.Itoa(number(3)))
		case events > 1 && chance(10):
			return responded(500, "")
		case chance(5):
			return responded(503, "")
		case chance(3):
			pass(time.Duration(number(5000)) * time.Millisecond)
		}
		return nil
	}
	d.after = func(_ *http.Request, resp *http.Response) *http.Response {
		if !faulty() || resp.StatusCode == http.StatusAccepted {
			return resp
		}
		switch {
		case chance(8):
			return nil
		case chance(5):
			return responded(500, "")
		case chance(6):
			return responded(504, "")
		case chance(3):
			pass(2 * batchTimeout)
		}
		return resp
	}
	events := make([]Event, 60)
	for i := range events {
		e := entry(i, base().Add(time.Duration(i%3)*time.Second+time.Duration(i+1)*time.Microsecond))
		e.Subject = fmt.Sprint("rr-", i%20)
		events[i] = filled(e, false, "")
	}
	// process is one that may have ended and begun anew; an old one ends its posts.
	processes := []*Sink{d.process(), d.process()}
	var senders sync.WaitGroup
	for i := range 12 {
		mine := slices.Clone(events[5*i : 5*i+5])
		senders.Go(func() {
			for attempt := 0; ; attempt++ {
				mu.Lock()
				which := random.IntN(2)
				s := processes[which]
				if attempt > 0 && random.IntN(10) == 0 {
					processes[which] = d.process()
				}
				mu.Unlock()
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+number(25))*time.Second)
				errs := s.Deliver(ctx, mine)
				cancel()
				if !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
					return
				}
				for _, err := range errs {
					require.NotEqual(t, refused, verdictOf(err))
				}
				// It is delivered again when the other delivery has ended, posts and all.
				pass(batchTimeout + 2*time.Second)
				mine = again(mine)
			}
		})
	}
	senders.Wait()
	pass(3 * batchTimeout)
	d.requireOnce(events)
	return len(d.seen())
}
