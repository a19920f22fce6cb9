package function

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"onefire/audit"
	"onefire/config"
	"onefire/mapping"
)

// sink is what a function needs of [audit.Sink].
type sink interface {
	Deliver(ctx context.Context, events []audit.Event) []error
	Send(ctx context.Context, events []audit.Event) (wait func() []error)
	Ready(ctx context.Context) error
	Close()
}

// reporter delivers audit events.
type reporter struct {
	sink sink // nil with AUDIT_SINK=none
	mode config.AuditMode
	// late limits the deliveries in the background.
	late     *semaphore.Weighted
	observer *observer
}

// newReporter makes the reporter that the configuration asks for. It opens no connection.
func newReporter(c config.Config, o *observer) (reporter, error) {
	r := reporter{mode: c.AuditMode, late: semaphore.NewWeighted(maxLate), observer: o}
	if c.AuditSink == config.NoAudit {
		return r, nil
	}
	s, err := audit.New(audit.Options{
		URL:        c.AuditSink,
		TokenFile:  c.AuditTokenFile,
		CAFile:     c.AuditCAFile,
		CACerts:    c.CACerts,
		Trial:      c.Rules().Trial(),
		Extensions: c.Overrides.Extensions,
	})
	if err != nil {
		return r, err
	}
	r.sink = s
	return r, nil
}

// auditEvent is one audit event of one result.
type auditEvent struct {
	of    *result
	event audit.Event
	// kind and correlation are the audit event's type and correlation id.
	kind, correlation string
	span              trace.Span
}

// delivered is the outcome of an audit event.
type delivered string

const (
	stored      delivered = "stored"
	setAside    delivered = "set_aside"
	lost        delivered = "lost"
	unavailable delivered = "unavailable"
)

// report sends the audit events of all decisions at once. It comes after the objects were
// made, so a sink that hangs delays no object. If the sink is not available for an audit
// event, its alert is not settled. With AUDIT_MODE=best-effort no answer waits for the
// sink.
func (p *pipeline) report(ctx context.Context, in *incoming, results []result) {
	if p.audit.sink == nil {
		return
	}
	if events := p.auditEvents(ctx, in, results); len(events) > 0 {
		p.audit.deliver(ctx, events)
	}
}

// auditEvents returns the audit events of the results. An alert that a body repeats has
// them once.
func (p *pipeline) auditEvents(ctx context.Context, in *incoming, results []result) []auditEvent {
	var all []auditEvent
	reported := map[string]bool{}
	for i := range results {
		r := &results[i]
		if !r.audited() || reported[r.key] {
			continue
		}
		reported[r.key] = true
		all = append(all, p.auditEventsOf(ctx, in, r)...)
	}
	return all
}

func (p *pipeline) auditEventsOf(ctx context.Context, in *incoming, r *result) (all []auditEvent) {
	defer p.observer.recoverPanic(r)
	d := mapping.Record{Decision: r.reason.Decision(), Request: r.name, Count: r.count,
		ID: func(eventType string) string { return audit.EventID(in.source, in.id, r.key, eventType) }}
	if r.failed() {
		d.Failure = &mapping.Failure{Code: r.code, Message: r.err.Error(), RetryPossible: d.Decision == mapping.Capped}
	}
	at, since, again := r.decided(in, p.now())
	for _, request := range p.rules.Audit(r.signal, d, at) {
		a := auditEvent{of: r, kind: request.EventType, correlation: request.CorrelationID, event: audit.Event{
			Source:       in.source,
			ID:           in.id,
			Alert:        r.key,
			Type:         request.EventType,
			Time:         request.Timestamp,
			Subject:      r.name,
			PartitionKey: r.signal.Fingerprint,
			Traceparent:  in.traceparent,
			Data:         request,
			Again:        again,
			Since:        since,
		}}
		p.observer.startAudit(ctx, &a)
		all = append(all, a)
	}
	return all
}

// audited tells whether a decision has audit events.
func (r *result) audited() bool {
	switch r.reason.Decision() {
	case mapping.New, mapping.Duplicate, mapping.Invalid, mapping.Capped:
		return true
	}
	return false
}

// failed tells whether the audit event of a decision reports a failure.
func (r *result) failed() bool {
	return r.reason.Decision() == mapping.Invalid || r.reason.Decision() == mapping.Capped
}

// decided is the time of a decision, if possible the same for each delivery of its event.
// again tells whether the audit events may have been sent before, and since when. A
// failure leaves no object that could tell, so its audit event is looked for in
// DataStorage if its time is known.
func (r *result) decided(in *incoming, now time.Time) (at, since time.Time, again bool) {
	switch {
	case !r.failed():
		again = r.reason == mapping.ReplayedNew || r.reason == mapping.ReplayedDuplicate
		if r.at.IsZero() {
			return now, time.Time{}, again
		}
		return r.at, r.at, again
	case in.undated || now.Sub(in.at) > maxFailureAge:
		return now, time.Time{}, false
	}
	return in.at, time.Time{}, true
}

// deliver delivers the audit events of one event. With AUDIT_MODE=best-effort it returns
// before that is done.
func (r *reporter) deliver(ctx context.Context, events []auditEvent) {
	out, of := make([]audit.Event, len(events)), make([]*result, len(events))
	for i := range events {
		out[i], of[i] = events[i].event, events[i].of
	}
	defer r.observer.recoverPanic(of...)
	if r.mode == config.AuditBestEffort {
		r.deliverLate(ctx, events, out)
		return
	}
	begun := time.Now()
	errs := r.sink.Deliver(ctx, out)
	took := time.Since(begun)
	for i := range events {
		if r.recordOutcome(ctx, &events[i], errs[i], took) == unavailable {
			events[i].of.unavailable(errs[i])
		}
	}
}

// errManyLate means that an audit event was not even queued.
var errManyLate = errors.New("too many audit events are waiting for the audit sink")

// deliverLate queues audit events in the sink, in the order of the decisions, and
// returns. A goroutine then notes their outcomes. There are at most [maxLate] such
// goroutines, and finish waits for them.
func (r *reporter) deliverLate(ctx context.Context, events []auditEvent, out []audit.Event) {
	ctx = context.WithoutCancel(ctx)
	if !r.late.TryAcquire(1) {
		for i := range events {
			r.recordOutcome(ctx, &events[i], errManyLate, 0)
		}
		return
	}
	for i := range events {
		// The sink's queue now has the audit event, within its own bounds; the result no
		// longer needs it.
		events[i].event, events[i].of = audit.Event{}, nil
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, lateTimeout)
	wait := r.sink.Send(ctx, out)
	go func() {
		defer r.late.Release(1)
		defer cancel()
		defer r.observer.recoverPanic()
		errs := wait()
		took := time.Since(begun)
		for i := range events {
			r.recordOutcome(ctx, &events[i], errs[i], took)
		}
	}()
}

// finish waits until no audit event is being delivered, or the context ends.
func (r *reporter) finish(ctx context.Context) error {
	if err := r.late.Acquire(ctx, maxLate); err != nil {
		return err
	}
	r.late.Release(maxLate)
	return nil
}

// recordOutcome notes the outcome of an audit event.
func (r *reporter) recordOutcome(ctx context.Context, a *auditEvent, err error, took time.Duration) delivered {
	what := r.outcomeOf(err)
	r.observer.audited(ctx, a, what, err, took)
	return what
}

// outcomeOf returns the outcome that an error of the sink means. An audit event that the
// sink rejects is given up, because a redelivery would be rejected too.
func (r *reporter) outcomeOf(err error) delivered {
	var refused *audit.RefusedError
	switch {
	case err == nil:
		return stored
	case errors.As(err, &refused):
		return setAside
	case r.mode == config.AuditBestEffort:
		return lost
	}
	return unavailable
}
