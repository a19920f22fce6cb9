package function

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"onefire/dedup"
	"onefire/function/receive"
	"onefire/function/telemetry"
	"onefire/mapping"
)

// This file shows the steps of an event, from its request to its answer:
//
//	receive → parse → map → resolve the target → group → settle → report → answer
//
// Each step decides results that the earlier steps left open. The observer gets the
// results of every step, and makes all spans, metrics, log lines and Kubernetes Events.

// pipeline has what the steps need.
type pipeline struct {
	rules    mapping.Rules // map
	targets  targets       // resolve the target
	requests requests      // settle
	audit    reporter      // report
	// reply tells that the answer contains a [Summary].
	reply    bool
	observer *observer
	now      func() time.Time
	// slots limits the goroutines that settle alerts of large events.
	slots *semaphore.Weighted
}

// ServeHTTP answers one request. [admission] decides whose requests are accepted.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := f.service.Load()
	if s == nil {
		receive.HangUp(w, r)
		receive.Refuse(http.StatusServiceUnavailable, "the function is starting").Write(w, r)
		return
	}
	f.receiver.Serve(w, r, s.observer.log, func(ctx context.Context, body []byte) receive.Answer {
		return s.pipeline.receive(ctx, r, body)
	})
}

// receive reads the body of a request: one event, a batch of events, or a dry run.
func (p *pipeline) receive(ctx context.Context, r *http.Request, body []byte) receive.Answer {
	if r.Header.Get("Content-Type") == receive.DryRunType {
		return p.dryRun(ctx, body)
	}
	ctx = withKept(p.observer.withHop(ctx, r.Header), r.Header)
	if cehttp.IsHTTPBatch(r.Header) {
		return p.handleBatch(ctx, body)
	}
	e, refusal := receive.Decode(r, body)
	if e == nil {
		return pointToSource(refusal, body, p.now())
	}
	return p.handle(ctx, *e)
}

// handle takes one event through all steps.
func (p *pipeline) handle(ctx context.Context, e event.Event) receive.Answer {
	now := p.now()
	ctx, observed := p.observer.event(ctx, e, now)
	in, refusal := parse(e, now)
	if refusal != nil {
		observed.answered(ctx, *refusal, nil, 0)
		return *refusal
	}
	results := p.mapAlerts(in)
	p.resolveTargets(ctx, results)
	p.settle(ctx, groupByFingerprint(results))
	p.report(ctx, in, results)
	a := answer(results)
	if p.reply && a.Status == http.StatusOK {
		a.Reply = summary(e, results, false)
	}
	observed.answered(ctx, a, results, in.truncated)
	return a
}

// handleBatch handles every event of a batch. An invalid event does not keep the others
// from being settled. The worst answer becomes the answer to the batch.
func (p *pipeline) handleBatch(ctx context.Context, body []byte) receive.Answer {
	raws, err := mapping.Elements(body, maxBatch)
	switch {
	case errors.Is(err, mapping.ErrTooMany):
		return receive.Refuse(http.StatusRequestEntityTooLarge, "a batch of more than %d CloudEvents", maxBatch)
	case err != nil:
		return receive.Refuse(http.StatusBadRequest, "not a batch of CloudEvents: %v", err)
	case len(raws) == 0:
		return receive.Refuse(http.StatusBadRequest, "a batch of no CloudEvents")
	}
	worst := receive.OK()
	for i, raw := range raws {
		var a receive.Answer
		if e, err := receive.Unmarshal(raw); err != nil {
			a = receive.Refuse(http.StatusBadRequest, "not a valid CloudEvent: %v", err)
		} else {
			a = p.handle(ctx, e)
		}
		if a.Status > worst.Status {
			worst = receive.Refuse(a.Status, "event %d of the batch: %s", i, a.Reason)
		}
	}
	return worst
}

// parse reads the alerts of an event. refusal is the answer to an event without alerts.
func parse(e event.Event, now time.Time) (in *incoming, refusal *receive.Answer) {
	refuse := func(status int, err error) *receive.Answer {
		a := receive.Refuse(status, "%v", err)
		return &a
	}
	if err := validate(e); err != nil {
		return nil, refuse(http.StatusBadRequest, err)
	}
	at, dated := mapping.EventTime(e.Time(), now)
	n, err := mapping.Parse(e.Data(), at)
	switch {
	case errors.Is(err, mapping.ErrTooMany):
		return nil, refuse(http.StatusRequestEntityTooLarge, err)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, err)
	}
	return &incoming{
		source: e.Source(), id: e.ID(), at: at, undated: !dated,
		sent: mapping.Sent(now, e.Time(), receive.Arrived(e)), now: now, traceparent: traceparent(e),
		alerts: n.Alerts, truncated: n.Truncated,
	}, nil
}

// validate checks that an event is a CloudEvent that can be passed on in headers.
func validate(e event.Event) error {
	if err := receive.Validate(e); err != nil {
		return err
	}
	if len(e.ID()) > maxAttribute || len(e.Source()) > maxAttribute {
		return fmt.Errorf("the CloudEvent's id or source is longer than %d bytes", maxAttribute)
	}
	return nil
}

// traceparent is the event's trace context, or empty if it has no valid one.
func traceparent(e event.Event) string {
	s, _ := e.Extensions()["traceparent"].(string)
	if !telemetry.ParseTraceparent(s).IsValid() {
		return ""
	}
	return s
}

// mapAlerts maps each alert to a signal. It already decides the alerts that are malformed
// or ignored.
func (p *pipeline) mapAlerts(in *incoming) []result {
	results := make([]result, len(in.alerts))
	for i := range in.alerts {
		results[i].alert = &in.alerts[i]
		p.mapAlert(in, &results[i])
	}
	return results
}

func (p *pipeline) mapAlert(in *incoming, r *result) {
	defer p.observer.recoverPanic(r)
	a := *r.alert
	identity := a.Identity()
	if a.Problem != "" {
		identity = string(a.Raw)
	}
	r.key = dedup.Key(in.source, in.id, identity, a.Start)
	var err error
	if r.signal, err = p.rules.Signal(a, in.at); err != nil {
		r.reason, r.err, r.code = mapping.Malformed, err, "ERR_INVALID_ALERT"
		return
	}
	if in.undated {
		r.signal = r.signal.Undated()
	}
	r.reason, _ = p.rules.Ignored(a)
	r.old = p.rules.TooOld(a, in.sent, in.now)
}

// groupByFingerprint groups the open results.
func groupByFingerprint(results []result) []*group {
	type subject struct{ namespace, fingerprint string }
	bySubject := map[subject]*group{}
	var groups []*group
	for i := range results {
		r := &results[i]
		if !r.open() {
			continue
		}
		key := subject{r.signal.Namespace, r.signal.Fingerprint}
		g := bySubject[key]
		if g == nil {
			g = &group{}
			bySubject[key] = g
			groups = append(groups, g)
		}
		switch {
		case r.alert.Resolved:
			g.resolved = append(g.resolved, r)
		case r.old:
			g.old = append(g.old, r)
		default:
			g.firing = append(g.firing, r)
		}
	}
	return groups
}

// inParallel calls do for 0 to n-1 and waits for all of them. At most maxParallel calls
// run at once, and at most maxSlots over all events. If the context ends before there is
// a slot, inParallel makes the remaining calls itself, one by one, and they fail at once.
func (p *pipeline) inParallel(ctx context.Context, n int, do func(i int)) {
	var working errgroup.Group
	working.SetLimit(maxParallel)
	for i := range n {
		if n == 1 || p.slots.Acquire(ctx, 1) != nil {
			do(i)
			continue
		}
		working.Go(func() error {
			defer p.slots.Release(1)
			do(i)
			return nil
		})
	}
	// Errors are in the results: one error must not hide the others.
	_ = working.Wait()
}
