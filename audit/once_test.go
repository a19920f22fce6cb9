package audit

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// sizes are a post of one event and a batch.
var sizes = map[string]int{"one event": 1, "a batch": 20}

func TestAnAnswerThatIsLostAfterTheWriteMakesOneRow(t *testing.T) {
	for reason, lose := range map[string]func(*http.Response) *http.Response{
		"a lost connection":   func(*http.Response) *http.Response { return nil },
		"the store's own 500": func(*http.Response) *http.Response { return responded(500, "") },
		"a proxy's 502":       func(*http.Response) *http.Response { return responded(502, "") },
		"a proxy's 504":       func(*http.Response) *http.Response { return responded(504, "") },
		"a proxy's 408":       func(*http.Response) *http.Response { return responded(408, "") },
		"503 and a wait":      func(*http.Response) *http.Response { return responded(503, "", "Retry-After", "2") },
		"an answer too late":  func(r *http.Response) *http.Response { pass(2 * batchTimeout); return r },
	} {
		for size, n := range sizes {
			t.Run(reason+" to "+size, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := &store{t: t}
					d.after = func(r *http.Request, resp *http.Response) *http.Response {
						if r.Method == http.MethodPost {
							return lose(resp)
						}
						return resp
					}
					s, events := d.process(), entries(n)
					if errs := s.Deliver(t.Context(), events); errs[0] != nil {
						require.Equal(t, unavailable, verdictOf(errs[0]))
						requireAll(t, s.Deliver(t.Context(), events)) // It remembers that it may be stored.
					}
					require.Len(t, d.posts(), 1)
					require.Len(t, d.seen(), 2, "one question")
					d.requireOnce(events)
					requireAll(t, s.Deliver(t.Context(), again(events)))
					require.Len(t, d.seen(), 2, "an accepted event is remembered")
					pass(2 * batchTimeout) // The store's handler ends.
				})
			})
		}
	}
}

func TestAnEventThatWasNeverStoredIsSentAgain(t *testing.T) {
	for size, n := range sizes {
		t.Run(size, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				d.before = func(r *http.Request, _ int) *http.Response {
					if len(d.posts()) == 1 && r.Method == http.MethodPost {
						return responded(500, "neither the database nor the queue took it")
					}
					return nil
				}
				events, begun := entries(n), time.Now()
				requireAll(t, d.process().Deliver(t.Context(), events))
				require.Len(t, d.posts(), 2)
				require.LessOrEqual(t, time.Since(begun), firstPause*3/2, "the store itself has ended with it")
				d.requireOnce(events)
			})
		})
	}
}

// The connection is lost while the store still waits for its table. An answer
// that shows no row then proves nothing yet.
func TestAStoreThatIsStillAtItIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		network := transport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodGet || len(d.posts()) > 0 {
				return d.RoundTrip(r)
			}
			unaware := r.Clone(context.WithoutCancel(r.Context()))
			go func() { _, _ = d.RoundTrip(unaware) }() //nolint:bodyclose // Nobody reads it.
			return nil, http.ErrServerClosed
		})
		d.took = 4 * time.Second
		s := d.process()
		s.client.http.Transport = network
		events := entries(1)
		requireAll(t, s.Deliver(t.Context(), events))
		require.Len(t, d.posts(), 1)
		d.requireOnce(events)
	})
}

func TestAnotherProcessAsksBeforeItSends(t *testing.T) {
	for size, n := range sizes {
		t.Run(size, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, events := &store{t: t}, entries(n)
				requireAll(t, d.process().Deliver(t.Context(), events[:n/2+1]))
				requireAll(t, d.process().Deliver(t.Context(), again(events)))
				d.requireOnce(events)
				if n == 1 {
					require.Len(t, d.posts(), 1)
				}
				requireAll(t, d.process().Deliver(t.Context(), again(events)))
				d.requireOnce(events)
			})
		})
	}
}

func TestATableThatIsLockedMakesNoDouble(t *testing.T) {
	for _, lock := range []time.Duration{8 * time.Second, 20 * time.Second, 50 * time.Second} {
		for _, patience := range []time.Duration{3 * time.Second, 25 * time.Second} {
			for size, n := range sizes {
				t.Run(lock.String()+", "+size+", callers wait "+patience.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						d, events := &store{t: t, locked: time.Now().Add(lock)}, entries(n)
						s := d.process()
						for attempt := range 30 {
							ctx, cancel := context.WithTimeout(t.Context(), patience)
							errs := s.Deliver(ctx, events)
							cancel()
							if attempt > 0 {
								events = again(events)
							}
							if errs[n-1] == nil {
								requireAll(t, errs)
								break
							}
							require.Equal(t, unavailable, verdictOf(errs[n-1]))
							pass(time.Second)
						}
						require.Len(t, d.seen(), 1)
						d.requireOnce(events)
					})
				})
			}
		}
	}
}

func TestAMinuteOf429StoresAllOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		d := &store{t: t}
		d.before = func(*http.Request, int) *http.Response {
			if time.Since(begun) < time.Minute {
				return responded(429, "", "Retry-After", "1")
			}
			return nil
		}
		s := d.process()
		var events []Event
		for i := range 20 {
			events = append(events, entries(100 * (i + 1))[100*i:]...)
		}
		done := make(chan error)
		for i := range 20 {
			go func() {
				for {
					ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
					errs := s.Deliver(ctx, events[100*i:100*(i+1)])
					cancel()
					left := 0
					for _, err := range errs {
						if verdictOf(err) == refused {
							done <- err
							return
						}
						if err != nil {
							left++
						}
					}
					if left == 0 {
						done <- nil
						return
					}
					pass(2 * time.Second)
				}
			}()
		}
		for range 20 {
			require.NoError(t, <-done)
		}
		d.requireOnce(events)
		require.Less(t, time.Since(begun), 70*time.Second)
		require.Less(t, len(d.seen()), 2*60, "a request or two a second while the store says no")
		t.Logf("2,000 events, 20 callers: %d requests, stored %s after the store took posts again", len(d.seen()), time.Since(begun)-time.Minute)
	})
}

func TestAQuestionThatFailsSendsNothing(t *testing.T) {
	for reason, row := range map[string]struct {
		answer answer
		asked  int
	}{
		"500":               {status(500), maxAttempts},
		"429":               {status(429, "Retry-After", "1"), maxAttempts},
		"403":               {status(403), 1},
		"404":               {status(404), 1},
		"202 is no answer":  {says(202, `{"data":[]}`), maxAttempts},
		"a page of HTML":    {says(200, "<html>"), maxAttempts},
		"no rows":           {says(200, `{"pagination":{}}`), maxAttempts},
		"half an answer":    {says(200, `{"data":[{"event_data":{}},`), maxAttempts},
		"half a row":        {says(200, `{"data":[{"event_da`), maxAttempts},
		"rows and no end":   {says(200, `{"data":[{"event_data":{}}`), maxAttempts},
		"nothing":           {says(200, ``), maxAttempts},
		"no object":         {says(200, `[]`), maxAttempts},
		"no array":          {says(200, `{"data":7}`), maxAttempts},
		"no data":           {says(200, `{"data":`), maxAttempts},
		"no name":           {says(200, `{7:[]}`), maxAttempts},
		"half a value":      {says(200, `{"pagination":{"total`), maxAttempts},
		"400 to a question": {status(400), maxAttempts},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				d.before = func(r *http.Request, _ int) *http.Response {
					w := httptest.NewRecorder()
					row.answer(w, r)
					return w.Result()
				}
				for _, err := range d.process().Deliver(t.Context(), again(entries(3))) {
					require.Equal(t, unavailable, verdictOf(err), "%v", err)
				}
				require.Empty(t, d.posts())
				require.Len(t, d.seen(), row.asked)
			})
		})
	}
}

// Two calls with the same event share its post.
func TestCallsWithTheSameEventShareOnePost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: time.Second}
		s, events := d.process(), entries(1)
		errs := make(chan error)
		for i := range 10 {
			go func() {
				pass(time.Duration(i) * 50 * time.Millisecond)
				errs <- s.Deliver(t.Context(), append(again(events), events...))[i%2]
			}()
		}
		for range 10 {
			require.NoError(t, <-errs)
		}
		require.Len(t, d.posts(), 1)
		d.requireOnce(events)
	})
}

// A call may learn that an event that still waits here was sent elsewhere.
func TestAnEventThatWaitsIsAskedForWhenAnotherCallSaysAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: time.Second}
		events := entries(1)
		requireAll(t, d.process().Deliver(t.Context(), events))
		s := d.process()
		first := entry(7, base())
		first.Subject = events[0].Subject // It goes first, and the other one waits.
		errs := make(chan []error)
		go func() { errs <- s.Deliver(t.Context(), []Event{filled(first, false, "")}) }()
		synctest.Wait()
		go func() { errs <- s.Deliver(t.Context(), events) }()
		synctest.Wait()
		go func() { errs <- s.Deliver(t.Context(), again(events)) }()
		for range 3 {
			requireAll(t, <-errs)
		}
		d.requireOnce(append(events, first))
	})
}

func TestManyEventsOfOneCallAreFewRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: time.Second}
		events := entries(2000)
		requireAll(t, d.process().Deliver(t.Context(), events))
		require.Len(t, d.seen(), 10)
		require.LessOrEqual(t, d.most, maxPosts)
		d.requireOnce(events)
	})
}

func TestEventsThatWaitGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: time.Second}
		s, events := d.process(), entries(1000)
		errs := make(chan []error)
		for i := range 500 {
			go func() { errs <- s.Deliver(t.Context(), events[2*i:2*i+2]) }()
		}
		for range 500 {
			requireAll(t, <-errs)
		}
		require.LessOrEqual(t, len(d.posts()), maxPosts+5)
		d.requireOnce(events)
	})
}

func TestOneRemediationRequestIsInOnePostAtATimeAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: time.Second}
		s := d.process()
		var events []Event
		for i := range 60 {
			e := entry(i, base().Add(time.Duration(60-i)*time.Microsecond))
			e.Subject = "rr-" + strconv.Itoa(i%3)
			events = append(events, filled(e, false, ""))
		}
		errs := make(chan []error)
		for i := range 20 {
			go func() { errs <- s.Deliver(t.Context(), events[3*i:3*i+3]) }()
		}
		for range 20 {
			requireAll(t, <-errs)
		}
		d.requireOnce(events)
		require.Equal(t, 1, d.most, "each post is about all three")
		for _, body := range d.bodies {
			for i := range body[1:] {
				require.False(t, body[i+1].Time.Before(body[i].Time))
			}
		}
	})
}
