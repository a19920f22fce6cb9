package kube

import (
	"context"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"onefire/mapping"
)

// clusterScoped are the kinds without a namespace that alerts are about. Their own
// labels are read for the scope; whose owners they are is not asked.
var clusterScoped = [...]struct{ kind, resource string }{
	{"Namespace", "namespaces"},
	{"Node", "nodes"},
	{"PersistentVolume", "persistentvolumes"},
}

// ScopeResources are what may be asked for with a scope; the right that it takes is
// get.
func ScopeResources() []schema.GroupResource {
	var all []schema.GroupResource
	for _, c := range clusterScoped {
		all = append(all, schema.GroupResource{Resource: c.resource})
	}
	return append(all, Resources()...)
}

// place is where the API server keeps an object; empty for what is never asked for.
func place(t mapping.Target) string {
	for _, c := range clusterScoped {
		if c.kind == t.Kind && t.APIVersion == "v1" {
			return "/api/v1/" + c.resource + "/" + t.Name
		}
	}
	return path(t)
}

// fits tells whether an object's labels fit the scope. Without a scope nothing asks.
func (r *Resolver) fits(of map[string]string) bool {
	return r.scope != nil && r.scope.Matches(labels.Set(of))
}

// Scoped says whether an alert is in the scope.
type Scoped struct {
	In bool
	// Unread is [Forbidden] or [Refused] where the API server does not let the
	// target or its namespace be read; empty otherwise.
	Unread OwnerResult
}

// Scope tells whether the namespace of a signal's target fits the scope, or else the
// target itself. An object that is gone fits nothing, unless this process read it
// before. Of a kind that is not in [ScopeResources] the namespace alone decides.
//
// Where the API server does not let the namespace be read, or a target that has none,
// nothing says that the alert is outside, and it is in the scope: an alert is never
// lost for a missing right. A target of another cluster cannot be read here, and is
// outside.
//
// An error means that the API server did not answer in time, or said that it cannot
// now: asking again can succeed.
func (r *Resolver) Scope(ctx context.Context, s mapping.Signal) (Scoped, error) {
	if r.scope == nil {
		return Scoped{In: true}, nil
	}
	if s.Cluster != "" && s.Cluster != r.cluster {
		return Scoped{}, nil
	}
	var decisive, unread OwnerResult
	namespaced := s.Target.Namespace != ""
	if len(validation.IsDNS1123Label(s.Target.Namespace)) == 0 {
		a, err := r.look(ctx, mapping.Target{APIVersion: "v1", Kind: "Namespace", Name: s.Target.Namespace})
		if err != nil || a.fits {
			return Scoped{In: a.fits}, err
		}
		decisive = a.unread()
		unread = decisive
	}
	if readable(s.Target) {
		a, err := r.look(ctx, s.Target)
		if err != nil || a.fits {
			return Scoped{In: a.fits}, err
		}
		if !namespaced {
			decisive = a.unread()
		}
		if unread == "" {
			unread = a.unread()
		}
	}
	return Scoped{In: decisive != "", Unread: unread}, nil
}

// readable tells whether a target has a place and a name that an object there can
// have.
func readable(t mapping.Target) bool {
	if place(t) == "" || len(validation.IsDNS1123Subdomain(t.Name)) > 0 {
		return false
	}
	return path(t) == "" || len(validation.IsDNS1123Label(t.Namespace)) == 0
}

// unread is why an object could not be read; empty where it was, or is not there.
func (a answer) unread() OwnerResult {
	if a.result == Forbidden || a.result == Refused {
		return a.result
	}
	return ""
}
