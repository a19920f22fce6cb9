package function

import (
	"cmp"
	"fmt"
	"os"

	"github.com/cloudevents/sdk-go/v2/event"

	"onefire/config"
	"onefire/dedup"
	"onefire/function/kube"
	"onefire/mapping"
)

// The reasons of Kubernetes Events, for people and for field selectors.
const (
	// ReasonRequested: a RemediationRequest was made. The Kubernetes Event is on that
	// request.
	ReasonRequested = "RemediationRequested"
	// ReasonCut: the RemediationRequest does not contain the whole alert.
	ReasonCut = "AlertCut"
	// ReasonInvalid: an alert can never become a RemediationRequest.
	ReasonInvalid = "AlertInvalid"
	// ReasonTruncated: Alertmanager left alerts out of a notification.
	ReasonTruncated = "AlertsTruncated"
)

// kubernetesEvents records what happened, once and not with each repeat: the name of a
// Kubernetes Event identifies what it reports.
func (o *observer) kubernetesEvents(e event.Event, results []result, truncated uint64) {
	now := o.now()
	// A redelivery records what the first delivery may have had no time for. After an
	// hour the API server has deleted the first Kubernetes Event, and a redelivery would
	// report old news.
	old := now.Sub(e.Time()) > kube.EventTTL && !e.Time().IsZero()
	for i := range results {
		switch r := &results[i]; {
		case r.reason == mapping.ReplayedNew && old:
		case r.reason.Decision() == mapping.New:
			o.recordRequested(e, r)
		case r.reason.Decision() == mapping.Invalid:
			o.recordOnSelf(kube.Event{Reason: ReasonInvalid, Action: "Settle", Key: r.signal.Fingerprint + r.code,
				Note: fmt.Sprintf("%s can never become a RemediationRequest: %v", described(r.signal, e.Source()), r.err)})
		default:
			o.recordHeld(r)
		}
	}
	if truncated > 0 {
		// There is one for each receiver, because the receiver's configuration must be
		// corrected.
		o.recordOnSelf(kube.Event{Reason: ReasonTruncated, Action: "Receive", Key: e.Source(),
			Note: fmt.Sprintf("Alertmanager left out %d alerts of a notification from %.*s: raise the receiver's max_alerts or group by more labels",
				truncated, maxNoteSource, e.Source())})
	}
}

func (o *observer) recordRequested(e event.Event, r *result) {
	made := kube.Event{
		On: kube.Object{APIVersion: dedup.Resource.GroupVersion().String(), Kind: "RemediationRequest",
			Namespace: r.signal.Namespace, Name: r.name, UID: r.uid},
		Type: kube.Normal, Reason: ReasonRequested, Action: "Create", At: o.now(),
		Note: described(r.signal, e.Source()),
	}
	if r.reason == mapping.Recurred {
		made.Note += ", again after the last request had ended"
	}
	o.events.Record(made)
	if r.signal.Cut() {
		made.Type, made.Reason = kube.Warning, ReasonCut
		made.Note = described(r.signal, e.Source()) + ": the alert was too large, and is cut where the request says so"
		o.events.Record(made)
	}
}

// recordOnSelf records a Kubernetes Event on the function itself, if its object is known.
// The log has the same in any case.
func (o *observer) recordOnSelf(e kube.Event) {
	if o.self.Name == "" {
		return
	}
	e.On, e.Type, e.At = o.self, kube.Warning, o.now()
	o.events.Record(e)
}

// described is a short description of an alert.
func described(s mapping.Signal, source string) string {
	name, about := s.Name, ""
	if name == "" {
		name = "An alert without a name"
	}
	if s.Target.Kind != mapping.KindUnknown {
		about = fmt.Sprintf(" on %s %s", s.Target.Kind, s.Target.Name)
		if s.Target.Namespace != "" {
			about = fmt.Sprintf(" on %s %s/%s", s.Target.Kind, s.Target.Namespace, s.Target.Name)
		}
	}
	return fmt.Sprintf("%s (%s)%s from %.*s", name, s.Severity, about, maxNoteSource, source)
}

// self is the Knative Service that the function runs as, in the namespace of its pod, or
// else of its Kubernetes client.
func self(c config.Config, fallback func() (string, error)) kube.Object {
	if c.Service == "" {
		return kube.Object{}
	}
	namespace, err := ownNamespace(c, fallback)
	if err != nil {
		return kube.Object{}
	}
	return kube.Object{APIVersion: "serving.knative.dev/v1", Kind: "Service", Namespace: namespace, Name: c.Service}
}

// instance identifies this process among those of the function: it is the pod's name.
func instance() string {
	name, _ := os.Hostname()
	return cmp.Or(name, "onefire")
}
