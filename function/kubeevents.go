package function

import (
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
	// ReasonRequested: a RemediationRequest was made, which it is on.
	ReasonRequested = "RemediationRequested"
	// ReasonCut: what the RemediationRequest says of its alert is not all.
	ReasonCut = "AlertCut"
	// ReasonInvalid: an alert can never become a RemediationRequest.
	ReasonInvalid = "AlertInvalid"
	// ReasonTruncated: Alertmanager left out alerts.
	ReasonTruncated = "AlertsTruncated"
)

// kubernetesEvents records what happened, each once and not at each repeat: the names
// of the Events see to that.
func (o *observer) kubernetesEvents(e event.Event, results []result, truncated uint64) {
	if o.events == nil {
		return
	}
	now := o.now()
	// A redelivery tells what the first delivery may have had no time for. Later
	// than that the API server has forgotten, and it would be told as news.
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
		// One for each receiver: it is what must be mended.
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

// recordOnSelf records what has no object on the function itself, where that is
// known. The log has it in any case.
func (o *observer) recordOnSelf(e kube.Event) {
	if o.self.Name == "" {
		return
	}
	e.On, e.Type, e.At = o.self, kube.Warning, o.now()
	o.events.Record(e)
}

// described is an alert in a few words.
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

// self is the Knative Service that the function runs as, in its pod's namespace or,
// where that is not told, in the one of its Kubernetes client.
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

// instance is this process's name among others of the function: its pod's.
func instance() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "onefire"
}
