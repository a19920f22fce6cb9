package function

import (
	"context"

	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/function/kube"
	"onefire/mapping"
)

// owners is what a function needs of [kube.Resolver] for TARGET=owner.
type owners interface {
	Find(ctx context.Context, s mapping.Signal) (kube.Found, error)
}

// scopes is what a function needs of [kube.Resolver] for SCOPE.
type scopes interface {
	Scope(ctx context.Context, s mapping.Signal) (kube.Scoped, error)
}

// targets find out what alerts are about, beyond their labels.
type targets struct {
	// owners is nil unless TARGET=owner.
	owners owners
	// scopes is nil unless SCOPE is set.
	scopes scopes
}

// newTargets makes what TARGET and SCOPE ask for. It opens no connection.
func newTargets(client *rest.Config, c config.Config) (t targets, err error) {
	if c.Target != config.TargetOwner && c.Scope.Selector == nil {
		return targets{}, nil
	}
	r, err := kube.NewResolver(client, kube.ResolverOptions{Scope: c.Scope.Selector})
	if err != nil {
		return t, err
	}
	if c.Target == config.TargetOwner {
		t.owners = r
	}
	if c.Scope.Selector != nil {
		t.scopes = r
	}
	return t, nil
}

// resolveTargets sets the target of each open result to the top-level controller of its
// object, or to the node that node-exporter reports on. It does so for resolved alerts
// too, because an end must find the request of its alert. Alerts whose targets are not in
// the scope are then filtered. An alert whose target or scope cannot be read now is not
// settled: with another target it would make a second object, and as filtered it would be
// lost.
func (p *pipeline) resolveTargets(ctx context.Context, results []result) {
	if p.targets.owners == nil && p.targets.scopes == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, targetTimeout)
	defer cancel()
	p.inParallel(ctx, len(results), func(i int) {
		r := &results[i]
		defer p.observer.recoverPanic(r)
		if r.open() && p.targets.owners != nil {
			findOwner(ctx, p.targets.owners, p.rules, r)
		}
		if r.open() && p.targets.scopes != nil {
			checkScope(ctx, p.targets.scopes, r)
		}
	})
	p.observer.targets(ctx, results)
}

// findOwner sets the target of one signal.
func findOwner(ctx context.Context, all owners, rules mapping.Rules, r *result) {
	found, err := all.Find(ctx, r.signal)
	if err != nil {
		r.unavailable(err)
		r.ownerUnknown = true
		return
	}
	if r.owner = found.Result; found.Target != r.signal.Target {
		r.signal = rules.Aim(r.signal, *r.alert, found.Target)
	}
}

// checkScope filters one signal if it is not in the scope.
func checkScope(ctx context.Context, all scopes, r *result) {
	scoped, err := all.Scope(ctx, r.signal)
	r.unread = scoped.Unread
	switch {
	case err != nil:
		r.unavailable(err)
	case !scoped.In:
		r.reason = mapping.Unmanaged
	}
}
