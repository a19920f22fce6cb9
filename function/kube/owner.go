package kube

import (
	"context"
	"fmt"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"onefire/dedup/client"
	"onefire/mapping"
)

// OwnerResult tells how a target was found. It has few values, so that it can be a
// metric's label.
type OwnerResult string

// The results.
const (
	// Resolved: the API server named each owner up to the target.
	Resolved OwnerResult = "resolved"
	// Remembered: an object is gone, and its owner is known from an earlier answer.
	Remembered OwnerResult = "remembered"
	// ByName: an object is gone, and its name led to its owner.
	ByName OwnerResult = "by_name"

	// Gone: the object does not exist. With this result and the following ones, the
	// target is what was known before.
	Gone OwnerResult = "gone"
	// Ambiguous: an object is gone, and its name led to several objects.
	Ambiguous OwnerResult = "ambiguous"
	// Forbidden: the function may not read the object.
	Forbidden OwnerResult = "forbidden"
	// Refused: the API server rejects the request.
	Refused OwnerResult = "refused"
	// Loop: an object owns itself through other objects.
	Loop OwnerResult = "loop"
	// TooDeep: there are more owners than maxDepth.
	TooDeep OwnerResult = "too_deep"
	// OtherCluster: the alert is about an object of another cluster.
	OtherCluster OwnerResult = "other_cluster"
	// Unscheduled: the pod whose node is looked for is not on a node.
	Unscheduled OwnerResult = "unscheduled"
	// Unnamed: the labels have no valid name of an object or of its namespace.
	Unnamed OwnerResult = "unnamed"
)

// Found is the target of an alert.
type Found struct {
	Target mapping.Target
	// Result is empty if the labels name no object that can have an owner.
	Result OwnerResult
}

// Resolver finds targets. It is safe for concurrent use, and has no goroutines of its
// own.
type Resolver struct {
	client rest.Interface
	// scope is the selector of [ResolverOptions.Scope], or nil.
	scope labels.Selector
	// memory has the last answer for each object, also for objects that are gone.
	memory *lru.Cache[mapping.Target, answer]
	flight singleflight.Group
	slots  *semaphore.Weighted
	now    func() time.Time
	// pause is [ownerRefusalPause]; tests change it.
	pause time.Duration
}

// answer is the API server's answer for an object.
type answer struct {
	// result is [Resolved] if the object exists.
	result     OwnerResult
	controller mapping.Target
	// fits tells whether the object's labels match the scope.
	fits bool
	at   time.Time
}

// ResolverOptions configure a [Resolver].
type ResolverOptions struct {
	// Scope selects the targets that [Resolver.Scope] accepts; nil for all.
	Scope labels.Selector
}

// NewResolver makes a Resolver from a client configuration, which it copies. It opens no
// connection.
func NewResolver(config *rest.Config, o ResolverOptions) (*Resolver, error) {
	api, err := client.New(config, "onefire", schema.GroupVersion{}) // Each path has its own.
	if err != nil {
		return nil, err
	}
	memory, _ := lru.New[mapping.Target, answer](maxObjects) // It fails only for a size below 1.
	return &Resolver{client: api, scope: o.Scope, memory: memory, slots: semaphore.NewWeighted(maxGets), now: time.Now, pause: ownerRefusalPause}, nil
}

// Find finds the top-level controller of the object that a signal's labels name, or, if
// the signal has a host, the node that the host runs on. An error means that the API
// server could not answer now: a retry can succeed.
func (r *Resolver) Find(ctx context.Context, s mapping.Signal) (Found, error) {
	asked := s.Target
	if s.Host.Name != "" {
		asked = s.Host
	}
	switch {
	case path(asked) == "":
		return Found{Target: s.Target}, nil
	case s.Cluster != "": // It is empty for this cluster.
		return Found{s.Target, OtherCluster}, nil
	case len(validation.IsDNS1123Label(asked.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(asked.Name)) > 0:
		return Found{s.Target, Unnamed}, nil
	case s.Host.Name != "":
		return r.findHost(ctx, s)
	}
	return r.walk(ctx, s.Target)
}

// walk goes from owner to owner.
func (r *Resolver) walk(ctx context.Context, at mapping.Target) (Found, error) {
	how := Resolved
	for passed := []mapping.Target{at}; path(at) != ""; passed = append(passed, at) {
		a, err := r.lookup(ctx, at)
		if a.result == Gone {
			a, err = r.byName(ctx, at)
		}
		if err != nil {
			return Found{}, err
		}
		if a.result == ByName || a.result == Remembered {
			how = a.result
		} else if a.result != Resolved {
			return Found{at, a.result}, nil
		}
		next := a.controller
		switch {
		case next == mapping.Target{}:
			return Found{at, how}, nil
		case slices.Contains(passed, next):
			return Found{at, Loop}, nil
		case len(passed) > maxDepth:
			return Found{at, TooDeep}, nil
		}
		at = next
	}
	return Found{at, how}, nil
}

// byName answers for an object that is gone: with the one object that its name leads to.
// That one can be gone as well, if its own name leads on.
func (r *Resolver) byName(ctx context.Context, t mapping.Target) (answer, error) {
	found := answer{result: Gone}
	for _, parent := range parents(t) {
		a, err := r.lookup(ctx, parent)
		if a.result == Gone {
			a, err = r.byName(ctx, parent)
		}
		switch {
		case err != nil:
			return answer{}, err
		case a.result == Gone || a.result == Forbidden || a.result == Refused:
			continue
		case found.result == ByName:
			return answer{result: Ambiguous}, nil
		}
		found = answer{result: ByName, controller: parent}
	}
	return found, nil
}

// named is the name of an object as people write it.
func named(t mapping.Target) string {
	if t.Namespace == "" {
		return t.Kind + " " + t.Name
	}
	return t.Kind + " " + t.Namespace + "/" + t.Name
}

// lookup returns the controller of an object and whether it fits the scope, from memory or
// from the API server. Concurrent calls for one object share one Get.
func (r *Resolver) lookup(ctx context.Context, t mapping.Target) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, fmt.Errorf("reading %s: %w", named(t), err)
	}
	a, err, _ := r.flight.Do(t.Kind+" "+scopePath(t), func() (any, error) {
		if a, ok := r.remembered(t); ok {
			return a, nil
		}
		// Other calls wait for this Get too, so it must not end with the first of them.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), getTimeout)
		defer cancel()
		return r.ask(ctx, t)
	})
	if err != nil {
		return answer{}, fmt.Errorf("reading %s: %w", named(t), err)
	}
	return a.(answer), nil
}

// remembered returns the answer that was remembered for an object, if it is recent.
func (r *Resolver) remembered(t mapping.Target) (answer, bool) {
	a, _ := r.memory.Get(t) // An answer that is not there is from the year 1.
	return a, r.now().Sub(a.at) < maxObjectAge
}

// ask asks the API server and remembers the answer. A 403 for a kind is believed when it
// comes twice, and is then used for this kind for a while.
func (r *Resolver) ask(ctx context.Context, t mapping.Target) (answer, error) {
	kind := mapping.Target{Kind: t.Kind} // No object has this key, because it has no name.
	a, err := r.fetch(ctx, t)
	if _, sure := r.remembered(kind); a.result == Forbidden && !sure {
		select {
		case <-time.After(r.pause):
		case <-ctx.Done():
			return answer{}, fmt.Errorf("waiting to ask again: %w", ctx.Err())
		}
		if a, err = r.fetch(ctx, t); a.result == Forbidden {
			r.memory.Add(kind, answer{at: r.now()})
		}
	}
	if err != nil {
		return answer{}, err
	}
	before, _ := r.memory.Peek(t)
	if a.result == Gone && (before.result == Resolved || before.result == Remembered) {
		// A name is used again only for another pod of the same owner.
		a = answer{result: Remembered, controller: before.controller, fits: before.fits}
	}
	a.at = r.now()
	r.memory.Add(t, a)
	return a, nil
}

// fetch asks the API server.
func (r *Resolver) fetch(ctx context.Context, t mapping.Target) (answer, error) {
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return answer{}, fmt.Errorf("waiting for a slot among the concurrent API calls: %w", err)
	}
	defer r.slots.Release(1)
	a, err := r.get(ctx, t)
	if err == nil {
		return a, nil
	}
	result, ok := final(err)
	if !ok {
		return answer{}, err
	}
	return answer{result: result}, nil
}
