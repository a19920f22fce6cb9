package kube

import (
	"context"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"onefire/mapping"
)

// clusterScoped are the kinds without a namespace that alerts can be about. The scope
// needs their labels; their owners are not looked for.
var clusterScoped = [...]struct{ kind, resource string }{
	{"Namespace", "namespaces"},
	{"Node", "nodes"},
	{"PersistentVolume", "persistentvolumes"},
}

// ScopeResources are the resources that are read for a scope; this needs the verb get.
func ScopeResources() []schema.GroupResource {
	var all []schema.GroupResource
	for _, c := range clusterScoped {
		all = append(all, schema.GroupResource{Resource: c.resource})
	}
	return append(all, Resources()...)
}

// scopePath is the URL path of an object; it is empty for a kind that is never read.
func scopePath(t mapping.Target) string {
	for _, c := range clusterScoped {
		if c.kind == t.Kind && t.APIVersion == "v1" {
			return "/api/v1/" + c.resource + "/" + t.Name
		}
	}
	return path(t)
}

// fits tells whether an object's labels match the scope. It is not called without a
// scope.
func (r *Resolver) fits(of map[string]string) bool {
	return r.scope != nil && r.scope.Matches(labels.Set(of))
}

// Scoped tells whether an alert is in the scope.
type Scoped struct {
	In bool
	// Unread is [Forbidden] or [Refused] if the API server does not allow the target or
	// its namespace to be read; it is empty otherwise.
	Unread OwnerResult
}

// Scope tells whether the labels of the target's namespace, or those of the target, match
// the scope. An object that is gone does not match, unless this process has read it
// before. For a kind that is not in [ScopeResources], the namespace alone decides.
//
// If the API server does not allow the namespace, or a target without a namespace, to be
// read, the alert is in the scope: an alert is never lost because of a missing
// permission. A target in another cluster cannot be read, and is outside the scope.
//
// An error means that the API server could not answer now: a retry can succeed.
func (r *Resolver) Scope(ctx context.Context, s mapping.Signal) (Scoped, error) {
	if r.scope == nil {
		return Scoped{In: true}, nil
	}
	if s.Cluster != "" { // It is empty for this cluster.
		return Scoped{}, nil
	}
	var decisive, unread OwnerResult
	namespaced := s.Target.Namespace != ""
	if len(validation.IsDNS1123Label(s.Target.Namespace)) == 0 {
		a, err := r.lookup(ctx, mapping.Target{APIVersion: "v1", Kind: "Namespace", Name: s.Target.Namespace})
		if err != nil || a.fits {
			return Scoped{In: a.fits}, err
		}
		decisive = a.unread()
		unread = decisive
	}
	if readable(s.Target) {
		a, err := r.lookup(ctx, s.Target)
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

// readable tells whether a target has a URL path and a valid name.
func readable(t mapping.Target) bool {
	if scopePath(t) == "" || len(validation.IsDNS1123Subdomain(t.Name)) > 0 {
		return false
	}
	return path(t) == "" || len(validation.IsDNS1123Label(t.Namespace)) == 0
}

// unread is why an object could not be read; it is empty if it was read or does not
// exist.
func (a answer) unread() OwnerResult {
	if a.result == Forbidden || a.result == Refused {
		return a.result
	}
	return ""
}
