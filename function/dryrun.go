package function

import (
	"context"
	"net/http"

	"onefire/function/receive"
	"onefire/mapping"
)

// dryRun answers what would become of an event: its [Summary], with reasons. The event
// takes the usual steps up to its groups. dryRun makes Lists, but writes nothing and
// sends no audit events. It judges each alert as if it came alone.
func (p *pipeline) dryRun(ctx context.Context, body []byte) receive.Answer {
	e, err := receive.Unmarshal(body)
	if err != nil {
		return receive.Refuse(http.StatusBadRequest, "not a valid CloudEvent: %v", err)
	}
	in, refusal := parse(e, p.now())
	if refusal != nil {
		return *refusal
	}
	results := p.mapAlerts(in)
	p.resolveTargets(ctx, results)
	for _, g := range groupByFingerprint(results) {
		p.forecast(ctx, g)
	}
	for i := range results {
		if r := &results[i]; r.reason == mapping.Unavailable {
			return receive.Refuse(http.StatusServiceUnavailable, "the outcome of %s cannot be forecast now: %v", r.signal.Name, r.err)
		}
	}
	p.observer.dryRun(e, results)
	a := receive.OK()
	a.Reply = summary(e, results, true)
	return a
}

// forecast notes the outcome that the alerts of one fingerprint would have.
func (p *pipeline) forecast(ctx context.Context, g *group) {
	defer p.observer.recoverPanic(g.all()...)
	if len(g.old) > 0 {
		recall(ctx, p.requests, g.old)
	}
	for n, results := range [][]*result{g.firing, g.resolved} {
		for _, r := range results {
			o, err := p.requests.Forecast(ctx, r.signal, r.key, n == 1)
			if err != nil {
				r.unavailable(err)
				continue
			}
			r.apply(o)
		}
	}
}
