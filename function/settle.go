package function

import (
	"context"

	"onefire/dedup"
	"onefire/mapping"
)

// requests is what a function needs of [dedup.Deduplicator].
type requests interface {
	Settle(ctx context.Context, s mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]dedup.Outcome, error)
	Resolve(ctx context.Context, signals []mapping.Signal) ([]dedup.Outcome, error)
	Recall(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error)
	Forecast(ctx context.Context, s mapping.Signal, key string, resolved bool) (dedup.Outcome, error)
	Ready(ctx context.Context, namespace string) error
	Close()
}

// settle settles the groups of an event on the API server. A failure of one fingerprint
// does not affect another.
func (p *pipeline) settle(ctx context.Context, groups []*group) {
	p.inParallel(ctx, len(groups), func(i int) {
		g := groups[i]
		defer p.observer.recoverPanic(g.all()...)
		ctx, span := p.observer.startGroup(ctx)
		defer g.endSpan(span)
		if len(g.firing) > 0 {
			count(ctx, p.requests, p.rules.Namespace, g.firing)
		}
		if len(g.resolved) > 0 {
			resolve(ctx, p.requests, g.resolved)
		}
		if len(g.old) > 0 {
			recall(ctx, p.requests, g.old)
		}
	})
}

// count settles the firing alerts of one fingerprint. namespace is the value of
// REMEDIATION_NAMESPACE.
func count(ctx context.Context, all requests, namespace string, firing []*result) {
	index := map[string]int{}
	var keys []string
	var signals map[string]mapping.Signal // not needed for one alert
	if len(firing) > 1 {
		signals = make(map[string]mapping.Signal, len(firing))
	}
	for _, r := range firing {
		if _, ok := index[r.key]; ok {
			continue
		}
		if signals != nil {
			signals[r.key] = r.signal
		}
		index[r.key] = len(keys)
		keys = append(keys, r.key)
	}
	outcomes, err := all.Settle(ctx, firing[0].signal, keys, signals)
	for _, r := range firing {
		if err != nil {
			r.unavailable(err)
			continue
		}
		o := outcomes[index[r.key]]
		r.apply(o)
		r.withhold(ctx, o)
		if o.Rejected != nil {
			r.reject(o.Rejected, namespace)
		}
	}
}

// resolve settles the resolved alerts of one fingerprint.
func resolve(ctx context.Context, all requests, resolved []*result) {
	signals := make([]mapping.Signal, len(resolved))
	for i, r := range resolved {
		signals[i] = r.signal
	}
	outcomes, err := all.Resolve(ctx, signals)
	for i, r := range resolved {
		if err != nil {
			r.unavailable(err)
			continue
		}
		r.reason, r.name, r.count = outcomes[i].Reason, outcomes[i].Name, outcomes[i].Count
	}
}

// recall settles the alerts of one fingerprint that are too old. An alert that was
// counted before has the same outcome as then.
func recall(ctx context.Context, all requests, old []*result) {
	keys := make([]string, len(old))
	for i, r := range old {
		keys[i] = r.key
	}
	outcomes, err := all.Recall(ctx, old[0].signal, keys)
	for i, r := range old {
		if err != nil {
			r.unavailable(err)
			continue
		}
		r.apply(outcomes[i])
	}
}
