package kube

import (
	"context"

	"onefire/mapping"
)

// hostKind stands for a pod of which the node is asked for, and not the owner.
// No object has such a kind.
const hostKind = "Pod's node"

// findHost finds the node on which the signal's host, a pod, runs. It is the
// target even where that pod has an owner: the alert is about the machine, and the
// pod only reports on it.
//
// A pod that is gone, or not yet on a node, leaves the signal's own target.
func (r *Resolver) findHost(ctx context.Context, s mapping.Signal) (Found, error) {
	asked := s.Host
	asked.Kind = hostKind
	a, err := r.look(ctx, asked)
	switch {
	case err != nil:
		return Found{}, err
	case a.controller == mapping.Target{}:
		if a.result == Resolved || a.result == Remembered {
			a.result = Unscheduled
		}
		return Found{s.Target, a.result}, nil
	}
	return Found{a.controller, a.result}, nil
}
