package function

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"onefire/audit"
	"onefire/config"
	"onefire/function/inbound"
	"onefire/function/tracing"
	"onefire/mapping"
)

// SummaryType is the type of the reply event that REPLY=summary asks for. Its
// data is a [Summary].
const SummaryType = "onefire.summary.v1"

// Summary says what became of each alert of an event. It is the same for every
// delivery of the event while the objects that the event touched are there.
type Summary struct {
	Alerts []AlertSummary `json:"alerts"`
}

// AlertSummary says what became of one alert.
type AlertSummary struct {
	Alertname   string           `json:"alertname"`
	Fingerprint string           `json:"fingerprint,omitempty"`
	Decision    mapping.Decision `json:"decision"`
	// Reason is why; only a dry run has it, because a replay has another one.
	Reason string `json:"reason,omitempty"`
	// Object is the RemediationRequest, "namespace/name", of a new alert or a
	// duplicate, and Count its occurrence count with this alert.
	Object string `json:"object,omitempty"`
	Count  int32  `json:"count,omitempty"`
}

// handle settles one event.
func (p *parts) handle(ctx context.Context, e event.Event) inbound.Answer {
	begun := p.now()
	ctx, span := p.processing(ctx, e)
	defer span.End() // A panic ends it here.
	log := p.log.With("event_id", e.ID(), "event_source", e.Source())
	if id := tracing.ID(span, traceparent(e)); id != "" {
		log = log.With("trace_id", id)
	}
	a, results, truncated := p.settleEvent(ctx, e, begun)
	p.processed(span, a, results, truncated)
	for i := range results {
		results[i].log(ctx, log)
		p.metrics.alert(ctx, results[i].reason)
	}
	if truncated > 0 {
		p.metrics.truncated.Add(ctx, int64(min(truncated, 1<<32)))
		log.Warn("Alertmanager left out alerts: raise the receiver's max_alerts or group by more labels", "truncated", truncated)
	}
	p.tell(e, results, truncated)
	attributes := []any{"event_type", e.Type(), "status", a.Status, "alerts", len(results),
		"decisions", decisions(results), "duration_ms", p.now().Sub(begun).Milliseconds()}
	if a.Reason != "" {
		log.Warn("event", append(attributes, "error", a.Reason)...)
	} else {
		log.Info("event", attributes...)
	}
	return a
}

// handleBatch settles every event of a batch; one that is wrong does not keep
// the others from being settled. The worst answer is the batch's.
func (p *parts) handleBatch(ctx context.Context, body []byte) inbound.Answer {
	raws, err := mapping.Elements(body, maxBatch)
	switch {
	case errors.Is(err, mapping.ErrTooMany):
		return inbound.Refuse(http.StatusRequestEntityTooLarge, "a batch of more than %d CloudEvents", maxBatch)
	case err != nil:
		return inbound.Refuse(http.StatusBadRequest, "not a batch of CloudEvents: %v", err)
	case len(raws) == 0:
		return inbound.Refuse(http.StatusBadRequest, "a batch of no CloudEvents")
	}
	worst := inbound.OK()
	for i, raw := range raws {
		var a inbound.Answer
		if e, err := inbound.Unmarshal(raw); err != nil {
			a = inbound.Refuse(http.StatusBadRequest, "not a valid CloudEvent: %v", err)
		} else {
			a = p.handle(ctx, e)
		}
		if a.Status > worst.Status {
			worst = inbound.Refuse(a.Status, "event %d of the batch: %s", i, a.Reason)
		}
	}
	return worst
}

// settleEvent settles an event's alerts and makes its answer.
func (p *parts) settleEvent(ctx context.Context, e event.Event, now time.Time) (a inbound.Answer, results []result, truncated uint64) {
	c, n, bad := read(e, now)
	if bad != nil {
		return *bad, nil, 0
	}
	results = p.settleAlerts(ctx, c, n.Alerts)
	return p.conclude(e, results), results, n.Truncated
}

// read reads the alerts of an event. bad is the answer to one that has none.
func read(e event.Event, now time.Time) (c cause, n mapping.Notification, bad *inbound.Answer) {
	refuse := func(status int, err error) *inbound.Answer {
		a := inbound.Refuse(status, "%v", err)
		return &a
	}
	if err := validate(e); err != nil {
		return c, n, refuse(http.StatusBadRequest, err)
	}
	at, dated := mapping.EventTime(e.Time(), now)
	n, err := mapping.Parse(e.Data(), at)
	switch {
	case errors.Is(err, mapping.ErrTooMany):
		return c, n, refuse(http.StatusRequestEntityTooLarge, err)
	case err != nil:
		return c, n, refuse(http.StatusBadRequest, err)
	}
	return cause{
		source: e.Source(), id: e.ID(), at: at, undated: !dated,
		sent: mapping.Sent(now, e.Time(), inbound.Arrived(e)), now: now, traceparent: traceparent(e),
	}, n, nil
}

// conclude makes the answer of what became of the alerts.
func (p *parts) conclude(e event.Event, results []result) inbound.Answer {
	var first error
	unsettled := 0
	for _, r := range results {
		if errors.Is(r.err, errPanic) {
			return inbound.Refuse(http.StatusInternalServerError, "internal error: see the log")
		}
		if r.reason == mapping.Unavailable {
			unsettled++
			if first == nil {
				first = r.err
			}
		}
	}
	if unsettled > 0 {
		return inbound.Refuse(http.StatusServiceUnavailable, "%d of %d alerts are not settled: %v", unsettled, len(results), first)
	}
	a := inbound.OK()
	if p.config.Reply == config.ReplySummary {
		a.Reply = p.summary(e, results, false)
	}
	return a
}

func (p *parts) summary(e event.Event, results []result, reasons bool) *event.Event {
	var s Summary
	for _, r := range results {
		line := AlertSummary{
			Alertname:   r.signal.Name,
			Fingerprint: r.signal.Fingerprint,
			Decision:    r.reason.Decision(),
		}
		if reasons {
			line.Reason = r.reason.String()
		}
		if d := line.Decision; d == mapping.New || d == mapping.Duplicate {
			line.Object, line.Count = r.signal.Namespace+"/"+r.name, r.count
		}
		s.Alerts = append(s.Alerts, line)
	}
	reply := event.New()
	reply.SetID(audit.EventID(e.Source(), e.ID(), "", SummaryType))
	reply.SetSource("onefire")
	reply.SetType(SummaryType)
	// Marshalling texts and numbers cannot fail.
	body, _ := json.Marshal(s)
	_ = reply.SetData(event.ApplicationJSON, body)
	return &reply
}

// traceparent is the event's trace context, if it has a proper one.
func traceparent(e event.Event) string {
	s, _ := e.Extensions()["traceparent"].(string)
	if !tracing.Parse(s).IsValid() {
		return ""
	}
	return s
}

// decisions counts the decisions, for the log: "new=2 duplicate=1".
func decisions(results []result) string {
	counts := map[mapping.Decision]int{}
	for _, r := range results {
		counts[r.reason.Decision()]++
	}
	s := ""
	for _, d := range []mapping.Decision{mapping.New, mapping.Duplicate, mapping.Resolved, mapping.Filtered, mapping.Stale, mapping.Invalid, mapping.Unsettled} {
		if counts[d] > 0 {
			s += " " + string(d) + "=" + strconv.Itoa(counts[d])
		}
	}
	if s == "" {
		return ""
	}
	return s[1:]
}
