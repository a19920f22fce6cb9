package kube

import (
	"context"

	"onefire/mapping"
)

// hostKind stands for a pod whose node is looked for, and not its owner. No real object
// has this kind.
const hostKind = "Pod's node"

// findHost finds the node on which the signal's host, a pod, runs. The node is the target
// even if the pod has an owner: the alert is about the machine, and the pod only reports
// it.
//
// If the pod is gone or has no node yet, the signal keeps its own target.
func (r *Resolver) findHost(ctx context.Context, s mapping.Signal) (Found, error) {
	asked := s.Host
	asked.Kind = hostKind
	a, err := r.lookup(ctx, asked)
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
