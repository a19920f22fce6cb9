package function

import (
	"context"

	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/function/owner"
	"onefire/mapping"
)

// owners is what a function needs of [owner.Resolver].
type owners interface {
	Find(ctx context.Context, s mapping.Signal) (owner.Found, error)
}

// newOwners makes what TARGET asks for: nothing where the labels name the target.
func newOwners(client *rest.Config, c config.Config) (owners, error) {
	if c.Target != config.TargetOwner {
		return nil, nil
	}
	return owner.New(client, c.ClusterName)
}

// aim gives the signals that are to be settled the top-level controllers of
// their objects as targets, or the nodes that node-exporter reports on; resolved
// ones too: what ends must meet what began.
// What cannot be told now is not settled: on another target it would make a
// second object.
func (p *parts) aim(ctx context.Context, alerts []mapping.Alert, results []result) {
	if p.owners == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, aimTimeout)
	defer cancel()
	p.spread(ctx, len(alerts), func(i int) {
		defer p.guard(results, i)
		r := &results[i]
		if r.reason != 0 {
			return
		}
		found, err := p.owners.Find(ctx, r.signal)
		switch {
		case err != nil:
			r.reason, r.err = mapping.Unavailable, err
			p.metrics.target(ctx, string(mapping.Unsettled))
			return
		case found.Result == "":
			return
		}
		if r.aimed = found.Result; found.Target != r.signal.Target {
			r.signal = p.rules.Aim(r.signal, alerts[i], found.Target)
		}
		p.metrics.target(ctx, string(found.Result))
	})
}
