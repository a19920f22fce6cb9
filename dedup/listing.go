package dedup

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"k8s.io/client-go/rest"

	"onefire/mapping"
)

// State is one word for what a RemediationRequest stands for.
type State string

const (
	// StateBurning is an active request with an alert that fires, as far as events said.
	StateBurning State = "burning"
	// StateResolved is an active request whose alerts have all ended.
	StateResolved State = "resolved"
	// StateUnknown is an active request of which Onefire does not know whether its alerts
	// have ended.
	StateUnknown State = "unknown"
	// StateReview is an ended request that asks for a review: no other request follows
	// it.
	StateReview State = "review"
	// StateWaiting is an ended request that no other request may follow for a time.
	StateWaiting State = "waiting"
	// StateEnded is any other ended request.
	StateEnded State = "ended"
	// StateDeleting is a request that is being deleted.
	StateDeleting State = "deleting"
)

// Request is a RemediationRequest of any program, as onefire list shows it.
type Request struct {
	Namespace, Name, Fingerprint string

	// Alertname, Severity and FiringAt are those of the alert that made the request.
	Alertname string
	Severity  mapping.Severity
	FiringAt  time.Time
	// Cluster is the alert's Kubernetes cluster; empty for the request's own cluster.
	Cluster string
	Target  mapping.Target
	// Folded is how many other alerts the request counts and names. FoldedMore tells that
	// it counts more than it names.
	Folded     int
	FoldedMore bool
	Count      int32

	State State
	// Open tells that the next alert of the fingerprint is counted on this request.
	Open bool
	// Phase and Outcome are what a controller wrote; empty if none did.
	Phase, Outcome string
	// Ours is false for a request that another program made.
	Ours bool

	// Created and all other times are in UTC, so that equal requests are ==.
	Created time.Time
	// LastSeen is when an alert was last counted; without a repeat it is Created.
	LastSeen time.Time
	// Resolved is when the last of the alerts ended; zero while one of them may fire.
	Resolved time.Time
	// QuietUntil is until when no other request follows a waiting one.
	QuietUntil time.Time
}

// RequestPage is one page of a List.
type RequestPage struct {
	Requests []Request
	// Now is the API server's clock.
	Now time.Time
	// Next is the token for the next page; it is empty after the last one.
	Next string
}

// Requests reads RemediationRequests for people.
type Requests struct{ kube *kube }

// OpenRequests makes [Requests] from a client configuration, which it copies. It opens no
// connection.
func OpenRequests(config *rest.Config) (*Requests, error) {
	k, err := connect(config)
	return &Requests{k}, err
}

// Page reads at most size requests of a namespace, or of all namespaces if it is empty,
// in the order of their names. It fails with [ErrTooLarge] if their size in bytes is
// above the limit.
//
// It reads ended requests too, because kubernaut's CRD does not allow a field selector on
// the phase, and because an ended request that asks for quiet is open.
func (q *Requests) Page(ctx context.Context, namespace string, size int, next string) (RequestPage, error) {
	items, now, next, err := q.kube.listRaw(ctx, q.kube.request(q.kube.client.Get(), namespace).
		Param("limit", strconv.Itoa(size)).Param("continue", next))
	if err != nil {
		return RequestPage{}, err
	}
	page := RequestPage{Now: now, Next: next}
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

// wireDetails is the part of an object that onefire list shows and that no decision
// depends on.
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

// listState tells what an object stands for, and whether the next alert is counted on it.
func (o object) listState(now time.Time) (state State, open bool) {
	reason, quiet := o.quiet(now)
	switch {
	case o.deleting:
		return StateDeleting, false
	case o.terminal() && reason == mapping.ManualReview:
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
