package audit

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// behind makes the event wait for the end of another post of its RemediationRequest,
// which takes as long as the store says.
func behind(t *testing.T, s *Sink, e Event) (ended <-chan error) {
	first := entry(1000, base())
	first.Subject = e.Subject
	done := make(chan error, 1)
	go func() { done <- one(t.Context(), s, filled(first, false, "")) }()
	synctest.Wait()
	return done
}

// The last caller that waits for an event says how long it is worth sending.
func TestAnEventWaitsForTheLastOfItsCallers(t *testing.T) {
	const short, long = 6 * time.Second, 50 * time.Second
	for reason, waits := range map[string][]time.Duration{
		"the second waits longer": {short, long},
		"the first waits longer":  {long, short},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				d.before = func(*http.Request, int) *http.Response {
					if len(d.posts()) == 1 {
						pass(time.Second)
						return responded(429, "", "Retry-After", "10")
					}
					return nil
				}
				s, e := d.process(), entry(1, base().Add(time.Microsecond))
				ended := behind(t, s, e)
				errs := map[time.Duration]chan error{short: make(chan error, 1), long: make(chan error, 1)}
				for _, wait := range waits {
					go func() {
						ctx, cancel := context.WithTimeout(t.Context(), wait)
						defer cancel()
						errs[wait] <- one(ctx, s, e)
					}()
					synctest.Wait()
				}
				require.NoError(t, <-ended)
				require.NoError(t, <-errs[long])
				require.Equal(t, unavailable, verdictOf(<-errs[short]))
			})
		})
	}
}

func TestACallerThatLeavesDoesNotEndWhatOthersWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: 4 * time.Second}
		s, e := d.process(), entry(1, base().Add(time.Microsecond))
		ended := behind(t, s, e)
		stays := make(chan error, 1)
		go func() { stays <- one(t.Context(), s, e) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := one(ctx, s, e)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the audit event was not sent in time: ")
		require.NoError(t, <-ended)
		require.NoError(t, <-stays)
		require.Len(t, d.posts(), 2)
	})
}

// An event whose question waits to be asked again waits for nobody who left.
func TestWhatNobodyWaitsForIsNotAskedForAgain(t *testing.T) {
	for reason, row := range map[string]struct {
		before func(*http.Request, int) *http.Response
		since  time.Duration
		says   string
	}{
		"the question failed": {
			func(*http.Request, int) *http.Response { return responded(503, "busy", "Retry-After", "5") }, -time.Hour,
			"asking whether the audit sink has the event: the audit sink is not available: 503",
		},
		"the event may still come": {
			func(*http.Request, int) *http.Response { return nil }, 0,
			"the audit sink may still store what it was sent",
		},
		"the question is not answered yet": {
			func(*http.Request, int) *http.Response { pass(time.Second); return nil }, 0,
			"the audit sink has not answered yet",
		},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t, before: row.before}
				s, e := d.process(), again(entries(1))[0]
				e.Since = time.Now().Add(row.since)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- one(ctx, s, e) }()
				synctest.Wait()
				cancel()
				require.ErrorContains(t, <-ended, row.says)
				pass(time.Minute)
				require.Len(t, d.seen(), 1)
				s.mu.Lock()
				defer s.mu.Unlock()
				require.Empty(t, s.items)
			})
		})
	}
}

// A second caller that sends a waiting event, and has no doubt, raises none.
func TestASecondCallerRaisesNoDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: time.Second}
		s, e := d.process(), entry(1, base().Add(time.Microsecond))
		ended := behind(t, s, e)
		waits := []func() []error{s.Send(t.Context(), []Event{e}), s.Send(t.Context(), []Event{e})}
		for _, wait := range waits {
			requireAll(t, wait())
		}
		require.NoError(t, <-ended)
		require.Empty(t, d.asked())
		require.Len(t, d.posts(), 2)
	})
}

func TestADeliveryWithoutADeadlineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: 4 * time.Second}
		s, begun := d.process(), time.Now()
		s.pace.until = begun.Add(maxWait - time.Second)
		err := one(context.WithoutCancel(t.Context()), s, entry(1, base()))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the audit sink has not answered yet: ")
		require.Equal(t, maxWait, time.Since(begun))
		s.Close()
	})
}

// meanwhile is a body that delivers its own event when it is encoded.
type meanwhile func()

func (m meanwhile) MarshalJSON() ([]byte, error) {
	m()
	return []byte(`{"event_data":{}}`), nil
}

func TestAnEventThatIsAcceptedMeanwhileIsNotSentAgain(t *testing.T) {
	sink := serve(t, status(http.StatusCreated))
	s, e := open(t, Options{URL: sink.URL}), sample()
	late := e
	late.Data = meanwhile(func() { require.NoError(t, one(t.Context(), s, e)) })
	require.NoError(t, one(t.Context(), s, late))
	require.Len(t, sink.seen(), 1)
}

func TestAnEventThatIsNotSentIsNamed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := one(ctx, open(t, Options{URL: storeURL}), sample())
	require.ErrorContains(t, err, "delivering audit event "+sample().id().String()+" (gateway.signal.received): context canceled")
}

// A post that is under way decides itself whether its event is in doubt.
func TestAnEventUnderWayIsNotAskedForBecauseAnotherCallSaysAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, events := &store{t: t}, entries(1)
		d.before = func(*http.Request, int) *http.Response {
			if len(d.posts()) > 1 {
				return nil
			}
			pass(time.Second)
			return responded(429, "")
		}
		s, errs := d.process(), make(chan []error)
		go func() { errs <- s.Deliver(t.Context(), events) }()
		synctest.Wait()
		go func() { errs <- s.Deliver(t.Context(), again(events)) }()
		requireAll(t, <-errs)
		requireAll(t, <-errs)
		require.Empty(t, d.asked())
		d.requireOnce(events)
	})
}

// How long ago an alert was counted says how long its event may still be on its way.
func TestHowLongAnotherProcessIsWaitedFor(t *testing.T) {
	for reason, row := range map[string]struct {
		counted     time.Duration // from now on
		least, most time.Duration
	}{
		"counted now":                      {0, firstDelivery, firstDelivery * 3 / 2},
		"counted 8 seconds ago":            {-8 * time.Second, firstDelivery - 8*time.Second, firstDelivery*3/2 - 8*time.Second},
		"counted long ago":                 {-2 * firstDelivery, 0, 0},
		"counted ahead of this clock":      {time.Hour, firstDelivery, firstDelivery * 3 / 2},
		"counted while nobody knows when ": {0, 0, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			waits := map[time.Duration]bool{}
			for range 30 {
				synctest.Test(t, func(t *testing.T) {
					d, begun := &store{t: t}, time.Now()
					events := again(entries(1))
					if !strings.Contains(reason, "nobody") {
						events[0].Since = begun.Add(row.counted)
					}
					requireAll(t, d.process().Deliver(t.Context(), events))
					took := time.Since(begun)
					require.GreaterOrEqual(t, took, row.least)
					require.LessOrEqual(t, took, row.most)
					waits[took] = true
				})
			}
			require.Equal(t, row.most > 0, len(waits) > 1, "two processes that wait for each other do not end at once")
		})
	}
}

// The process that counted an alert asks from ownDelivery on, and then does not wait.
func TestTheProcessThatDecidedDoesNotWaitWhenItIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		events := counted(entries(1), time.Now().Add(-ownDelivery))
		begun := time.Now()
		requireAll(t, d.process().Deliver(t.Context(), events))
		require.Len(t, d.asked(), 1)
		require.Zero(t, time.Since(begun))
	})
}

// An answer that an event is missing stands for askedFor.
func TestAnAnswerThatAnEventIsMissingStandsForAWhile(t *testing.T) {
	for reason, row := range map[string]struct {
		events int
		refuse func() *http.Response
		asked  int
	}{
		"a batch is refused at once, and goes in parts": {40, func() *http.Response { return responded(400, "") }, 1},
		"as long":     {1, func() *http.Response { return responded(429, "", "Retry-After", "1") }, 1},
		"longer":      {1, func() *http.Response { return responded(429, "", "Retry-After", "2") }, 2},
		"less, often": {1, func() *http.Response { return responded(429, "", "Retry-After", "0") }, 1},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, events := &store{t: t}, again(entries(row.events))
				d.before = func(r *http.Request, _ int) *http.Response {
					if r.Method == http.MethodPost && len(d.posts()) == 1 {
						return row.refuse()
					}
					return nil
				}
				requireAll(t, d.process().Deliver(t.Context(), events))
				require.Len(t, d.asked(), row.asked)
				d.requireOnce(events)
			})
		})
	}
}

func TestTheMemoryHoldsTheNewestEvents(t *testing.T) {
	m := must(newMemory())
	first := another().id()
	for id := first; m.memos.Len() < maxRemembered; id = another().id() {
		m.memos.Add(id, memo{accepted: true})
	}
	require.True(t, m.memos.Contains(first))
	m.memos.Add(another().id(), memo{accepted: true})
	require.False(t, m.accepted(first))
	require.Equal(t, maxRemembered, m.memos.Len())
}

// A batch may have as many bytes as it is allowed, commas included, and no more.
func TestABatchIsFilledToItsBound(t *testing.T) {
	for reason, row := range map[string]struct{ surplus, posts int }{
		"all of it":     {0, 1},
		"one byte more": {1, 2},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, events := &store{t: t}, entries(2)
				half := (maxBatchBytes - 1) / 2
				events[0], events[1] = sized(events[0], half), sized(events[1], maxBatchBytes-1-half+row.surplus)
				requireAll(t, d.process().Deliver(t.Context(), events))
				require.Len(t, d.posts(), row.posts)
				d.requireOnce(events)
			})
		})
	}
}
