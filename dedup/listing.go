package dedup

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"k8s.io/client-go/rest"

	"onefire/mapping"
)

// State says in one word what a RemediationRequest stands for.
type State string

const (
	// StateBurning is an active request, one of whose alerts fires as far as anybody said.
	StateBurning State = "burning"
	// StateResolved is an active request, all of whose alerts have ended.
	StateResolved State = "resolved"
	// StateUnknown is an active request of which nobody can know whether it is over.
	StateUnknown State = "unknown"
	// StateReview is an ended request that asks for a person: no other one follows.
	StateReview State = "review"
	// StateWaiting is an ended request that asks that no other one follows for a time.
	StateWaiting State = "waiting"
	// StateEnded is any other ended request.
	StateEnded State = "ended"
	// StateDeleting is a request that is being deleted.
	StateDeleting State = "deleting"
)

// Request is a RemediationRequest as people ask for it, whoever made it.
type Request struct {
	Namespace, Name, Fingerprint string

	// Alertname, Severity and FiringAt are those of the alert that made the request.
	Alertname string
	Severity  mapping.Severity
	FiringAt  time.Time
	// Cluster is the alert's Kubernetes cluster; empty for the request's own.
	Cluster string
	Target  mapping.Target
	// Folded is how many other alerts are counted on the request and named there, and
	// FoldedMore tells that there were more than are named.
	Folded     int
	FoldedMore bool
	Count      int32

	State State
	// Open tells that the next alert of the fingerprint is counted on the request, so
	// that there is no new one.
	Open bool
	// Phase and Outcome are what a controller wrote; empty if none did.
	Phase, Outcome string
	// Ours is false for a request that somebody else made.
	Ours bool

	// Created and all other times are in UTC, so that equal requests are ==.
	Created time.Time
	// LastSeen is when an alert was last counted; with no repeat it is Created.
	LastSeen time.Time
	// Resolved is when the last of the alerts ended; zero while one of them may fire.
	Resolved time.Time
	// QuietUntil is until when no other request follows, of one that is waiting.
	QuietUntil time.Time
}

// RequestPage is what one page of a List showed.
type RequestPage struct {
	Requests []Request
	// Now is the API server's clock.
	Now time.Time
	// Next asks for the next page; empty after the last one.
	Next string
}

// Requests reads RemediationRequests for people to look at.
type Requests struct{ kube *kube }

// OpenRequests makes [Requests] of a client configuration, which is copied. It opens
// no connection.
func OpenRequests(config *rest.Config) (*Requests, error) {
	k, err := connect(config)
	return &Requests{k}, err
}

// Page reads at most size requests of a namespace, or of all namespaces if it is
// empty, in the order of their names. It fails with [ErrTooLarge] if they have more
// bytes than it takes.
//
// It reads ended requests too, and not by a field selector what is active: kubernaut's
// CRD has none for the phase, and an ended request that asks for quiet is open.
func (q *Requests) Page(ctx context.Context, namespace string, size int, next string) (RequestPage, error) {
	items, now, next, err := q.kube.listRaw(ctx, q.kube.request(q.kube.client.Get(), namespace).
		Param("limit", strconv.Itoa(size)).Param("continue", next))
	if err != nil {
		return RequestPage{}, err
	}
	page := RequestPage{Requests: make([]Request, 0, len(items)), Now: now, Next: next}
	for _, text := range items {
		var w wireObject
		var about wireDetails
		if err := decode([]byte(text), &w); err != nil {
			return RequestPage{}, err
		}
		if err := decode([]byte(text), &about); err != nil {
			return RequestPage{}, err
		}
		page.Requests = append(page.Requests, about.request(&w, now))
	}
	return page, nil
}

// wireAbout is what an object tells of what it is about, which no decision reads.
type wireDetails struct {
	Metadata struct {
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		ClusterID      string `json:"clusterID"`
		TargetResource struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Name       string `json:"name"`
			Namespace  string `json:"namespace"`
		} `json:"targetResource"`
	} `json:"spec"`
}

func (about *wireDetails) request(w *wireObject, now time.Time) Request {
	o := w.observe()
	r := Request{
		Namespace: about.Metadata.Namespace, Name: o.name, Fingerprint: o.fingerprint,
		Alertname: o.alert.name, Severity: o.alert.severity, FiringAt: parseTime(w.Spec.FiringTime).UTC(),
		Cluster: about.Spec.ClusterID, Target: mapping.Target(about.Spec.TargetResource),
		Folded: len(o.others), FoldedMore: o.omitted, Count: o.count,
		Phase: o.phase, Outcome: cmp.Or(w.Status.Outcome, w.Status.CompletionStatus.Outcome), Ours: o.ours,
		Created: o.createdAt.UTC(), LastSeen: later(o.createdAt, o.lastSeen).UTC(), Resolved: o.lastResolved.UTC(),
	}
	r.State, r.Open = o.listState(now)
	if r.State == StateWaiting {
		r.QuietUntil = o.nextAllowed.UTC()
	}
	return r
}

// stands says what an object stands for, and whether the next alert is counted on it.
func (o object) listState(now time.Time) (state State, open bool) {
	reason, quiet := o.quiet(now)
	switch {
	case o.deleting:
		return StateDeleting, false
	case o.terminal() && quiet && reason == mapping.ManualReview:
		return StateReview, true
	case o.terminal() && quiet:
		return StateWaiting, true
	case o.terminal():
		return StateEnded, false
	case !o.lastResolved.IsZero():
		return StateResolved, true
	case o.omitted, o.unaccounted(), !o.ours && len(o.states) == 0:
		return StateUnknown, true
	}
	return StateBurning, true
}
