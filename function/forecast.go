package function

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"

	"onefire/function/inbound"
	"onefire/mapping"
)

// forecast says what would become of an event: the answer is its [Summary], with
// reasons. It makes Lists, and neither writes anything nor sends audit events. Each alert
// is looked at by itself, as if the others had not come.
func (p *parts) forecast(ctx context.Context, body []byte) inbound.Answer {
	var e event.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return inbound.Refuse(http.StatusBadRequest, "not a valid CloudEvent: %v", err)
	}
	c, n, bad := read(e, p.now())
	if bad != nil {
		return *bad
	}
	results := p.judge(ctx, c, n.Alerts)
	for _, g := range p.divide(n.Alerts, results) {
		p.foresee(ctx, g, results)
	}
	for _, r := range results {
		if r.reason == mapping.Unavailable {
			return inbound.Refuse(http.StatusServiceUnavailable, "nobody can say what would become of %s: %v", r.signal.Name, r.err)
		}
	}
	p.log.Info("dry run", "event_id", e.ID(), "event_source", e.Source(), "decisions", decisions(results))
	a := inbound.OK()
	a.Reply = p.summary(e, results, true)
	return a
}

// foresee notes what would become of the alerts of one fingerprint.
func (p *parts) foresee(ctx context.Context, g *group, results []result) {
	defer p.guard(results, g.all()...)
	if len(g.old) > 0 {
		p.recall(ctx, g.old, results)
	}
	for n, alerts := range [][]int{g.firing, g.resolved} {
		for _, i := range alerts {
			r := &results[i]
			o, err := p.dedup.Forecast(ctx, r.signal, r.key, n == 1)
			if err != nil {
				r.reason, r.err = mapping.Unavailable, err
				continue
			}
			r.take(o)
		}
	}
}
