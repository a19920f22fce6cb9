package function

import (
	"context"

	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/function/owner"
	"onefire/mapping"
)

// owners is what a function needs of [owner.Resolver] for TARGET=owner.
type owners interface {
	Find(ctx context.Context, s mapping.Signal) (owner.Found, error)
}

// scopes is what a function needs of [owner.Resolver] for SCOPE.
type scopes interface {
	Scope(ctx context.Context, s mapping.Signal) (owner.Scoped, error)
}

// newOwners makes what TARGET and SCOPE ask for: owners is nil where the labels name
// the target, and scopes is nil where every alert is in the scope.
func newOwners(client *rest.Config, c config.Config) (owners, scopes, error) {
	if c.Target != config.TargetOwner && c.Scope.Selector == nil {
		return nil, nil, nil
	}
	r, err := owner.New(client, owner.Options{Cluster: c.ClusterName, Scope: c.Scope.Selector})
	if err != nil {
		return nil, nil, err
	}
	var o owners
	var s scopes
	if c.Target == config.TargetOwner {
		o = r
	}
	if c.Scope.Selector != nil {
		s = r
	}
	return o, s, nil
}

// aim gives the signals that are to be settled the top-level controllers of
// their objects as targets, or the nodes that node-exporter reports on; resolved
// ones too: what ends must meet what began. Signals whose targets are not in the scope
// are then filtered.
// What cannot be told now is not settled: on another target it would make a
// second object, and outside of the scope it would be lost.
func (p *parts) aim(ctx context.Context, alerts []mapping.Alert, results []result) {
	if p.owners == nil && p.scopes == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, aimTimeout)
	defer cancel()
	p.spread(ctx, len(alerts), func(i int) {
		defer p.guard(results, i)
		r := &results[i]
		if r.reason == 0 && p.owners != nil {
			p.find(ctx, alerts[i], r)
		}
		if r.reason == 0 && p.scopes != nil {
			p.scope(ctx, r)
		}
	})
}

// find gives one signal its target.
func (p *parts) find(ctx context.Context, a mapping.Alert, r *result) {
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
		r.signal = p.rules.Aim(r.signal, a, found.Target)
	}
	p.metrics.target(ctx, string(found.Result))
}

// scope filters one signal that is not in the scope.
func (p *parts) scope(ctx context.Context, r *result) {
	scoped, err := p.scopes.Scope(ctx, r.signal)
	r.unread = scoped.Unread
	switch {
	case err != nil:
		r.reason, r.err = mapping.Unavailable, err
	case !scoped.In:
		r.reason = mapping.Unmanaged
	}
}
