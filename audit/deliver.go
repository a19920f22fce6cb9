package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

// Deliver sends events until the sink has them, within the bounds of limits.go and
// the context. It returns one result for each event, nil when the sink has it. A
// [RefusedError] means that trying again is of no use; after any other error it
// is. Events that wait at the same time, of this call or of others, go together.
//
// When the context ends, a post that is under way goes on. A later call with the
// same event waits for that post, or learns from its result.
func (s *Sink) Deliver(ctx context.Context, events []Event) []error {
	return s.Send(ctx, events)()
}

// Send is [Sink.Deliver] in two parts, for a caller that does not wait: it returns when the events
// are in the queue, and what it returns waits for the rest. That must be called, once; until
// then it holds of the events no more than the queue does.
func (s *Sink) Send(ctx context.Context, events []Event) (wait func() []error) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	by, _ := ctx.Deadline()
	errs, items := make([]error, len(events)), make([]*item, len(events))
	one := &call{}
	for i, e := range events {
		if s.memory.accepted(e.id()) {
			continue
		}
		if items[i], errs[i] = s.item(e); items[i] != nil {
			items[i].call, items[i].by = one, by
		}
	}
	s.mu.Lock()
	for i, it := range items {
		if it == nil {
			continue
		}
		switch {
		case s.memory.accepted(it.id): // Since it was looked for.
			items[i] = nil
			continue
		case ctx.Err() != nil:
			items[i], errs[i] = nil, context.Cause(ctx)
		default:
			items[i], errs[i] = s.add(it)
		}
		if errs[i] != nil {
			s.memory.left(it)
			errs[i] = failure(it, errs[i])
		}
	}
	s.dispatch() //nolint:contextcheck // A post outlives its callers.
	s.mu.Unlock()
	return func() []error {
		defer cancel()
		s.wait(ctx, items, errs)
		return errs
	}
}

// wait waits for items, nil for none, until the context ends, and adds what went wrong.
func (s *Sink) wait(ctx context.Context, items []*item, errs []error) {
	for i, it := range items {
		if it == nil {
			continue
		}
		select {
		case <-it.done:
		case <-ctx.Done():
		}
		if err := s.leave(ctx, it); err != nil {
			errs[i] = failure(it, err)
		}
	}
}

// failure says which event was not delivered.
func failure(it *item, err error) error {
	return fmt.Errorf("delivering audit event %s (%s): %w", it.id, it.kind, err)
}

// item makes an item of an event. Its error is a [RefusedError].
func (s *Sink) item(e Event) (*item, error) {
	out, err := e.cloudEvent(s.extensions)
	if err != nil {
		data, _ := json.Marshal(e.Data) // If it is not JSON, the error has it.
		return nil, &RefusedError{Answer: err.Error(), Event: data}
	}
	it := &item{id: e.id(), kind: e.Type, event: out, size: len(out.Data()), span: e.Span, own: !e.Again, since: e.Since, doubt: e.Again && s.datastorage}
	if it.doubt {
		it.until = e.Since                           // Where nobody knows it, that is long over.
		if now := time.Now(); now.Before(it.until) { // Its clock is ahead of ours.
			it.until = now
		}
		// Two processes that wait for each other do not end at once.
		it.until = it.until.Add(firstDelivery + rand.N(firstDelivery/2))
	}
	it.correlation = e.Subject
	if it.correlation == "" {
		it.correlation = e.PartitionKey
	}
	it.key = e.Alert // The two events of one decision are in order.
	if s.datastorage {
		it.key = it.correlation
	}
	if it.key == "" {
		it.key = out.ID()
	}
	return it, nil
}

// leave stops waiting for an item and says what became of it.
func (s *Sink) leave(ctx context.Context, it *item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	it.waiters--
	switch {
	case it.finished:
		return it.err
	case it.underWay:
		return fmt.Errorf("the audit sink has not answered yet: %w", context.Cause(ctx))
	}
	err := fmt.Errorf("the audit event was not sent in time: %w", context.Cause(ctx))
	if it.last != nil {
		err = it.last // It says more.
	}
	if it.waiters == 0 {
		s.finish(it, err)
	}
	return err
}

// run posts items. Of those that the sink may have, it posts what the sink says it has not.
func (s *Sink) run(job []*item) {
	sending := job
	if job[0].doubt {
		sending = s.resolve(job)
	}
	if len(sending) > 0 {
		s.send(sending)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range job {
		delete(s.busy, it.key)
	}
	s.pace.used--
	s.dispatch()
}

// resolve asks for items that the sink may have, and returns those that it has
// not.
func (s *Sink) resolve(asking []*item) (absent []*item) {
	q := s.ask(asking)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for i := len(asking) - 1; i >= 0; i-- {
		it := asking[i]
		switch err := q.unread[it.id]; {
		case q.found[it.id]:
			s.finish(it, nil)
		case err != nil:
			it.underWay = false
			it.tries++
			s.retry(it, fmt.Errorf("asking whether the audit sink has the event: %w", err))
		case now.Before(it.until):
			it.underWay, it.after = false, it.until
			it.last = fmt.Errorf("the audit sink may still store what it was sent, until %s", it.until.UTC().Format(time.RFC3339))
			if s.useless(it) || it.until.After(it.by) {
				s.finish(it, it.last)
			} else {
				s.back(it)
			}
		default:
			it.doubt, it.asked = false, now
			absent = append(absent, it)
		}
	}
	return absent
}
