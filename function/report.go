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
	result int
	event  audit.Event
	// kind and correlation are the event's type and correlation id.
	kind, correlation string
	span              trace.Span
}

// newSink makes the audit sink, nil where there is none. It opens no connection.
func newSink(c config.Config) (sink, error) {
	if c.AuditSink == config.NoAudit {
		return nil, nil
	}
	return audit.New(audit.Options{
		URL:        c.AuditSink,
		TokenFile:  c.AuditTokenFile,
		CAFile:     c.AuditCAFile,
		CACerts:    c.CACerts,
		Trial:      c.Rules().Trial(),
		Extensions: c.Overrides.Extensions,
	})
}

// report sends the audit events of all decisions at once. When the sink is not
// available for an event its alert is not settled. With best effort nothing waits for
// the sink.
func (p *parts) report(ctx context.Context, c cause, results []result) {
	if p.sink == nil {
		return
	}
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
	if p.config.AuditMode == config.AuditBestEffort {
		p.reportLate(ctx, sendings, events)
		return
	}
	begun := time.Now()
	errs := p.sink.Deliver(ctx, events)
	took := time.Since(begun)
	for i, s := range sendings {
		if r := &results[s.result]; p.conclusion(ctx, s, errs[i], took) == unavailable {
			r.reason, r.err = mapping.Unavailable, errs[i]
		}
	}
}

// conclusion notes what became of an audit event, in the log, in the metrics and on its
// span, and returns it.
func (p *parts) conclusion(ctx context.Context, s sending, err error, took time.Duration) delivered {
	what := p.became(s, err)
	p.metrics.delivery(ctx, what, took)
	p.metrics.audit(ctx, what)
	sent(s.span, what, err)
	return what
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
		s := sending{result: i, kind: request.EventType, correlation: request.CorrelationID, event: audit.Event{
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

// became says what became of an audit event. What the sink refuses for good is set
// aside in the log, whole: no redelivery would change its mind.
func (p *parts) became(s sending, err error) delivered {
	var refused *audit.RefusedError
	switch {
	case err == nil:
		return stored
	case errors.As(err, &refused):
		p.log.Error("audit event set aside", "error", err, "cloudevent", refused.Event)
		return setAside
	case p.config.AuditMode == config.AuditBestEffort:
		p.lost(s, err)
		return lost
	}
	return unavailable
}
