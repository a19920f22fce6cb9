package audit

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
)

// item is an event on its way to the sink. Several calls may wait for it.
type item struct {
	id   uuid.UUID
	kind string // the event's type
	// event is empty when the item is finished: it may stay in the queue.
	event event.Event
	size  int // bytes of the body
	// key is what only one post at a time may be about: the order of a
	// RemediationRequest's events is what its hash chain follows.
	key string
	// correlation is the correlation id in DataStorage.
	correlation string
	span        trace.Span
	// call is the call that brought it.
	call *call

	waiters  int
	by       time.Time // the last deadline of those who wait
	underWay bool
	// first is when the first attempt began.
	first time.Time
	tries int
	last  error
	// own tells that this process made the decision, and since is when; zero where
	// nobody knows.
	own   bool
	since time.Time
	// doubt tells that the sink may have it. The sink is asked, and an answer
	// before until does not prove that it has it not. asked is when it last said
	// that it has it not.
	doubt        bool
	until, asked time.Time
	// after is when it may be tried again.
	after time.Time
	// most bounds its next batch; 0 for no other bound than maxBatch.
	most int

	// done is closed when it is finished, and err then says what became of it.
	done     chan struct{}
	finished bool
	err      error
}

// call is one call of Deliver.
type call struct {
	// down tells that the sink was not available for one of its events: it is not
	// tried for the others.
	down bool
}

var errFull = errors.New("too many audit events wait for the audit sink")

// add queues an item, unless the same event is on its way already or too many
// are. It returns the item to wait for.
func (s *Sink) add(it *item) (*item, error) {
	if known := s.items[it.id]; known != nil {
		known.waiters++
		if it.doubt && !known.underWay { // A post reads it without the lock.
			known.doubt = true
		}
		if it.by.After(known.by) {
			known.by = it.by
		}
		return known, nil
	}
	switch {
	case s.closed:
		return nil, errClosed
	case len(s.items) >= maxPending || s.size+it.size > maxPendingBytes:
		return nil, errFull
	}
	if known, ok := s.memory.memos.Get(it.id); ok {
		// An event that this process decided on and did not send is nobody else's yet,
		// for as long as the time of the decision says.
		it.own = it.own || known.own && !it.since.IsZero()
		it.doubt, it.until = known.doubt, known.until
	}
	if len(s.pending) > len(s.items)+maxFinished {
		s.pending = slices.DeleteFunc(s.pending, func(it *item) bool { return it.finished })
	}
	it.waiters, it.done = 1, make(chan struct{})
	s.items[it.id], s.size = it, s.size+it.size
	s.pending = append(s.pending, it)
	return it, nil
}

// finish ends an item and remembers what became of it.
func (s *Sink) finish(it *item, err error) {
	if it.finished {
		return
	}
	it.finished, it.err = true, err
	it.event = event.Event{}
	delete(s.items, it.id)
	s.size -= it.size
	if err == nil {
		s.memory.memos.Add(it.id, memo{accepted: true})
	} else {
		s.memory.left(it)
	}
	close(it.done)
}

// giveUp ends an item because the sink is not available, and with it all that wait
// of the same call. If nothing has succeeded since the item's first attempt, it
// ends all that wait.
func (s *Sink) giveUp(it *item, err error) {
	s.finish(it, err)
	all := it.first.After(s.succeeded)
	if it.call.down && !all {
		return
	}
	it.call.down = true
	for _, other := range s.pending {
		if all || other.call == it.call {
			s.finish(other, err)
		}
	}
}

// retry puts an item back into the queue, ahead of those that were not tried, or
// gives it up when its attempts or its time are used up. The items of a post come
// back last first.
func (s *Sink) retry(it *item, err error) {
	it.last = err
	next := time.Now()
	if s.pace.until.After(next) {
		next = s.pace.until
	}
	var no *UnavailableError
	switch {
	case s.useless(it):
		s.finish(it, err)
	case it.tries >= maxAttempts || errors.As(err, &no) && no.Permanent || next.After(it.first.Add(maxElapsed)) || next.After(it.by):
		s.giveUp(it, err)
	default:
		s.back(it)
	}
}

// useless tells whether nobody learns what becomes of an item that goes on.
func (s *Sink) useless(it *item) bool { return s.closed || it.waiters == 0 }

// back puts an item back into the queue.
func (s *Sink) back(it *item) { s.pending = slices.Insert(s.pending, 0, it) }

// dispatch begins posts while some may be under way. All who change what it
// depends on call it.
func (s *Sink) dispatch() {
	for !s.closed && s.pace.free() {
		now := time.Now()
		if held := s.pace.next(now); now.Before(held) {
			s.refuseBefore(held)
			s.wakeAt(held)
			return
		}
		job, next := s.pick(now, !s.asked)
		if len(job) == 0 {
			job, next = s.pick(now, s.asked)
		}
		if len(job) == 0 {
			s.wakeAt(next)
			return
		}
		s.asked = job[0].doubt
		for _, it := range job {
			it.underWay, s.busy[it.key] = true, true
			if it.first.IsZero() {
				it.first = now
			}
		}
		s.pace.used++
		s.working.Go(func() { s.run(job) })
	}
}

// suspect has the sink asked for an item if another process may have sent it by now.
func (it *item) suspect(now time.Time) {
	mine := it.own && (it.since.IsZero() || now.Before(it.since.Add(ownDelivery)))
	if !mine && now.Sub(it.asked) > askedFor {
		it.doubt = true
	}
}

// refuseBefore ends the items whose callers do not wait until a time before which
// nothing is sent.
func (s *Sink) refuseBefore(held time.Time) {
	for _, it := range s.pending {
		if it.by.Before(held) {
			err := it.last
			if err == nil {
				err = fmt.Errorf("the audit sink is not available until %s", held.UTC().Format(time.RFC3339))
			}
			s.finish(it, err)
		}
	}
}

// pick takes the items of the next post from the queue: of those that the sink is asked for
// first, or of the others. The two take turns, so that neither waits for long: questions take
// time, and what is sent too late must be asked for itself. If there are none, next is when
// there may be some of either, zero if that takes another post's end.
func (s *Sink) pick(now time.Time, doubt bool) (job []*item, next time.Time) {
	most, size := 1, 0
	if s.datastorage && !now.Before(s.unbatched) {
		most = maxBatch
	}
	skipped := map[string]bool{}
	kept := s.pending[:0]
	for i, it := range s.pending {
		if len(job) >= most {
			kept = append(kept, s.pending[i:]...)
			break
		}
		if it.finished {
			continue // Nobody waits for it.
		}
		if s.datastorage {
			it.suspect(now)
		}
		fits := most
		if it.most > 0 {
			fits = min(most, it.most)
		}
		switch {
		case s.busy[it.key] || skipped[it.key]:
		case it.after.After(now):
			if next.IsZero() || it.after.Before(next) {
				next = it.after
			}
		case len(job) > 0 && (len(job) >= fits || size+it.size > maxBatchBytes):
		case it.doubt != doubt:
		case doubt && len(job) > 0 && it.event.Time().Sub(job[0].event.Time()).Abs() > maxApart:
		default:
			job, size, most = append(job, it), size+it.size+1, fits
			continue
		}
		skipped[it.key] = true
		kept = append(kept, it)
	}
	clear(s.pending[len(kept):])
	s.pending = kept
	return job, next
}

// wakeAt calls dispatch at a time, zero for never.
func (s *Sink) wakeAt(at time.Time) {
	if at.IsZero() || !s.waking.IsZero() && !s.waking.After(at) {
		return
	}
	if s.wake != nil {
		s.wake.Stop()
	}
	s.waking = at
	s.wake = time.AfterFunc(time.Until(at), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waking = time.Time{}
		s.dispatch()
	})
}
