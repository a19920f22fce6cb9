package audit

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// counted gives events the time at which their alerts were counted.
func counted(events []Event, at time.Time) []Event {
	for i := range events {
		events[i].Since = at
	}
	return events
}

// An event that is delivered to two processes at once is counted by one of them. The
// other one can ask before the first has posted, and before its post is a row.
func TestWhatAnotherProcessMayBeSendingIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: 3 * time.Second}
		events := entries(2)
		seen := again(events)
		for i := range seen {
			seen[i].Since = time.Now().Add(-time.Second)
		}
		first, second := d.process(), d.process()
		done := make(chan []error)
		go func() {
			pass(time.Second) // It still settles the event's other alerts.
			done <- first.Deliver(t.Context(), events)
		}()
		short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		asked := time.Now()
		err := second.Deliver(short, seen)[0]
		require.Equal(t, unavailable, verdictOf(err), "not settled, and not sent")
		require.ErrorContains(t, err, "may still store what it was sent, until ")
		require.Equal(t, asked, time.Now(), "a caller that does not wait so long is told at once")
		requireAll(t, <-done)
		requireAll(t, second.Deliver(t.Context(), seen))
		d.requireOnce(events)
	})
}

// A process that ended before it sent anything is waited for as long, and one that
// knows that it sent nothing is not.
func TestWhatNobodySentIsSentInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		seen := again(entries(2))
		for i := range seen {
			seen[i].Since = time.Now()
		}
		s := d.process()
		deliver := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
			defer cancel()
			return s.Deliver(ctx, seen)[0]
		}
		for deliver() != nil {
			pass(time.Second)
		}
		require.WithinDuration(t, seen[0].Since.Add(firstDelivery), time.Now(), firstDelivery)
		d.requireOnce(seen)

		s, ended := d.process(), time.Now()
		late, cancel := context.WithCancel(t.Context())
		cancel()
		mine := []Event{entry(7, base().Add(7*time.Microsecond))}
		require.Error(t, s.Deliver(late, mine)[0])
		mine = again(mine)
		mine[0].Since = time.Now()
		requireAll(t, s.Deliver(t.Context(), mine))
		require.WithinDuration(t, ended, time.Now(), time.Second)
	})
}

// The process that counted an alert posts its events so late that another process,
// which got the same event, has sent them meanwhile.
func TestTheProcessThatDecidedAsksWhenItIsLate(t *testing.T) {
	for reason, row := range map[string]struct {
		late time.Duration
		want []string // the requests of the process that decided
	}{
		"in time":  {ownDelivery - time.Second, []string{"POST batch of 2"}},
		"too late": {2 * firstDelivery, []string{"GET"}},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				events := counted(entries(2), time.Now())
				first, second := d.process(), d.process()
				var requested []string
				first.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodGet {
						requested = append(requested, "GET")
					} else {
						requested = append(requested, "POST batch of 2")
					}
					return d.RoundTrip(r)
				})
				errs := make(chan []error)
				go func() { errs <- second.Deliver(t.Context(), again(events)) }()
				pass(row.late)
				requireAll(t, first.Deliver(t.Context(), events))
				requireAll(t, <-errs)
				require.Equal(t, row.want, requested)
				d.requireOnce(events)
			})
		})
	}
}

// While a process waits to send an event once more, another process may send it.
func TestAnAnswerThatAnEventIsMissingIsSoonOld(t *testing.T) {
	for reason, refuse := range map[string]func() *http.Response{
		"429":                func() *http.Response { return responded(429, "", "Retry-After", "3") },
		"a batch is refused": func() *http.Response { return responded(400, "") },
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, events := &store{t: t}, again(entries(2))
				other := d.process()
				s := d.process()
				s.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPost && len(d.posts()) == 0 {
						requireAll(t, other.Deliver(t.Context(), events))
						pass(2 * askedFor)
						return refuse(), nil
					}
					return d.RoundTrip(r)
				})
				requireAll(t, s.Deliver(t.Context(), events))
				d.requireOnce(events)
			})
		})
	}
}

// A process that decided, and knows that it sent nothing, sends the event at its
// redelivery without a question, as long as nobody else sends it.
func TestWhatThisProcessDidNotSendIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, row := range map[string]struct {
			after time.Duration
			asked int
		}{"soon": {time.Second, 0}, "late": {ownDelivery, 1}} {
			d := &store{t: t}
			s, events := d.process(), counted(entries(1), time.Now())
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			require.Error(t, s.Deliver(ended, events)[0])
			require.Empty(t, d.seen())
			pass(row.after)
			begun := time.Now()
			requireAll(t, s.Deliver(t.Context(), again(events)))
			require.Equal(t, begun, time.Now(), "it does not wait")
			require.Len(t, d.asked(), row.asked, name)
			require.Len(t, d.posts(), 1, name)
		}
	})
}
