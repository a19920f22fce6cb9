package audit

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

// DataStorage limits the requests of one address. Processes behind the same address
// share that limit, and do not know of each other: new events come to each of three all
// the time, when a batch of the last half a minute is delivered again. It is asked for,
// second by second, and goes to the next process when one did not settle it.
func TestEventsThatWaitLongGetTheirShareOfALimit(t *testing.T) {
	const processes, newPerSecond, lasts = 3, 100, 60 * time.Second
	synctest.Test(t, func(t *testing.T) {
		limit := rate.NewLimiter(50, 100) // As the real one does.
		var requests, denied atomic.Int64
		d := &store{t: t, took: 10 * time.Millisecond}
		d.before = func(r *http.Request, _ int) *http.Response {
			requests.Add(1)
			if !limit.Allow() {
				denied.Add(1)
				return responded(http.StatusTooManyRequests, "", "Retry-After", "1")
			}
			if r.Method == http.MethodGet {
				pass(d.took)
			}
			return nil
		}
		sinks := make([]*Sink, processes)
		for i := range sinks {
			sinks[i] = d.process()
		}
		ctx, stop := context.WithTimeout(t.Context(), lasts)
		defer stop()
		load(ctx, t, sinks, newPerSecond)
		pass(6 * time.Second)

		var old []Event
		for second := range 8 {
			for i := range 25 {
				at := time.Now().Add(-time.Duration(second+20) * time.Second).Add(time.Duration(i) * time.Microsecond)
				old = append(old, entry(1_000_000+100*second+i, at))
			}
		}
		begun, tries := time.Now(), 0
		for waits := true; waits && ctx.Err() == nil; tries++ {
			waits = false
			for _, err := range sinks[tries%processes].Deliver(ctx, again(old)) {
				waits = waits || err != nil
			}
		}
		took, all, no := time.Since(begun), requests.Load(), denied.Load()
		stop()
		pass(time.Minute) // For what is under way.
		t.Logf("settled after %s and %d deliveries; %d of %d requests denied", took, tries, no, all)
		require.Less(t, took, 20*time.Second)
		require.Less(t, no, all/10)
	})
}

// load delivers new events, each of an object of its own, to sinks, so many a second to
// each, until the context ends. A third of them go to another process, too, up to ten
// seconds later.
func load(ctx context.Context, t *testing.T, sinks []*Sink, perSecond int) {
	t.Helper()
	for i := range sinks {
		go func() {
			for n := 0; ctx.Err() == nil; n++ {
				e := counted([]Event{entry(100_000*i+n, time.Now())}, time.Now())
				go sinks[i].Deliver(t.Context(), e)
				if n%3 == 0 {
					go func() {
						pass(time.Duration(n%10) * time.Second)
						sinks[(i+1)%len(sinks)].Deliver(t.Context(), again(e))
					}()
				}
				pass(time.Second / time.Duration(perSecond))
			}
		}()
	}
}
