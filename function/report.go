package function

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	"onefire/audit"
	"onefire/config"
	"onefire/mapping"
)

// sending is one audit event of one result.
type sending struct {
	result  int
	event   audit.Event
	request mapping.AuditRequest
	span    trace.Span
}

// report sends the audit events of all decisions at once. When the sink is not
// available for an event its alert is not settled, unless audit is best effort.
func (p *parts) report(ctx context.Context, c cause, results []result) {
	sendings := p.sendings(ctx, c, results)
	if len(sendings) == 0 {
		return
	}
	var alerts []int
	events := make([]audit.Event, len(sendings))
	for i, s := range sendings {
		events[i] = s.event
		alerts = append(alerts, s.result)
	}
	defer p.guard(results, alerts...)
	begun := time.Now()
	errs := p.sink.Deliver(ctx, events)
	took := time.Since(begun)
	for i, s := range sendings {
		what := p.became(&results[s.result], s, errs[i])
		p.metrics.delivery(ctx, what, took)
		p.metrics.audit(ctx, what)
		sent(s.span, what, errs[i])
	}
}

// sendings are the audit events of the results. Each result has its events, but a
// body that repeats an alert says one thing.
func (p *parts) sendings(ctx context.Context, c cause, results []result) []sending {
	var all []sending
	reported := map[string]bool{}
	for i := range results {
		r := &results[i]
		if !r.audited() || reported[r.key] {
			continue
		}
		reported[r.key] = true
		all = append(all, p.sendingsOf(ctx, c, results, i)...)
	}
	return all
}

func (p *parts) sendingsOf(ctx context.Context, c cause, results []result, i int) (all []sending) {
	defer p.guard(results, i)
	r := &results[i]
	d := mapping.Record{Decision: r.reason.Decision(), Request: r.name, Count: r.count,
		ID: func(eventType string) string { return audit.EventID(c.source, c.id, r.key, eventType) }}
	if d.Decision == mapping.Invalid {
		d.Failure = &mapping.Failure{Code: r.code, Message: r.err.Error()}
	}
	at, since, again := p.decided(c, r)
	for _, request := range p.rules.Audit(r.signal, d, at) {
		s := sending{result: i, request: request, event: audit.Event{
			Source:       c.source,
			ID:           c.id,
			Alert:        r.key,
			Type:         request.EventType,
			Time:         request.Timestamp,
			Subject:      r.name,
			PartitionKey: r.signal.Fingerprint,
			Traceparent:  c.traceparent,
			Data:         request,
			Again:        again,
			Since:        since,
		}}
		p.sending(ctx, &s)
		all = append(all, s)
	}
	return all
}

// audited tells whether a decision has audit events.
func (r result) audited() bool {
	switch r.reason.Decision() {
	case mapping.New, mapping.Duplicate, mapping.Invalid:
		return true
	}
	return false
}

// decided is the time of a decision, the same for each delivery of its event where
// it can be, and whether its audit events may have been sent before, since when. A
// failure leaves nothing behind that could tell, so one with a time to look for is
// looked for.
func (p *parts) decided(c cause, r *result) (at, since time.Time, again bool) {
	now := p.now()
	switch {
	case r.reason.Decision() != mapping.Invalid:
		again = r.reason == mapping.ReplayedNew || r.reason == mapping.ReplayedDuplicate
		if r.at.IsZero() {
			return now, time.Time{}, again
		}
		return r.at, r.at, again
	case c.undated || now.Sub(c.at) > maxFailureAge:
		return now, time.Time{}, false
	}
	return c.at, time.Time{}, true
}

// became notes on a result what became of one of its audit events. What the sink
// refuses for good is set aside in the log, whole: no redelivery would change its
// mind.
func (p *parts) became(r *result, s sending, err error) delivered {
	var refused *audit.RefusedError
	switch {
	case err == nil:
		return stored
	case errors.As(err, &refused):
		p.log.Error("audit event set aside", "error", err, "cloudevent", refused.Event)
		return setAside
	case p.config.AuditMode == config.AuditBestEffort:
		p.log.Warn("audit event lost: AUDIT_MODE is best-effort", "error", err, "type", s.request.EventType, "correlation_id", s.request.CorrelationID)
		return lost
	}
	r.reason, r.err = mapping.Unavailable, err
	return unavailable
}
