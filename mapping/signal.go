package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// FingerprintMode says which alerts are the same.
type FingerprintMode string

// The fingerprint modes.
const (
	// ByAlert: alertname, namespace, kind and name.
	ByAlert FingerprintMode = "alert"
	// ByResource: namespace, kind and name, whatever the alert is called.
	ByResource FingerprintMode = "resource"
)

// Placement says which namespace a RemediationRequest is made in.
type Placement string

// The placements.
const (
	// PlacementFixed: all in one namespace.
	PlacementFixed Placement = "fixed"
	// PlacementSignal: in the alert's own namespace.
	PlacementSignal Placement = "signal"
)

// ErrNoAlertname means that an alert can never become a RemediationRequest.
var ErrNoAlertname = errors.New("the alert has no alertname label")

// Rules are the configured part of the mapping.
type Rules struct {
	Fingerprint FingerprintMode
	// Severity says whether Severities and the built-in table map the severity label.
	Severity   SeverityMode
	Severities SeverityMap
	Placement  Placement
	// Namespace is where RemediationRequests go with [PlacementFixed], and
	// what stands in where an alert names no valid namespace.
	Namespace string
	// IgnoreAlerts are alert names, IgnoreSeverities lower-case texts of the
	// severity label, that become no object.
	IgnoreAlerts     []string
	IgnoreSeverities []string
	// Matchers leave out alerts that they do not fit.
	Matchers Matchers
	// Schema is the dated version of the contract with DataStorage.
	Schema Schema
	// Targets say which object an alert is about, over the built-in rules.
	Targets Targets
	// ClusterLabel is the label that names an alert's Kubernetes cluster; empty
	// for none.
	ClusterLabel string
	// ClusterName is this cluster's name in that label; empty where it has none. An
	// alert with that name is the same as one without the label.
	ClusterName string
	// MaxEventAge is how old an event may be and still make something new; 0 for any
	// age: see [Rules.TooOld].
	MaxEventAge time.Duration
}

// Signal is an alert in the terms of a RemediationRequest. All of its texts are
// clean and bounded.
type Signal struct {
	// Fingerprint is 64 lower-case hex digits: what counts as the same.
	Fingerprint string
	// Name is the alertname.
	Name     string
	Severity Severity
	Target   Target
	// Chosen names the rule that chose the target; empty where the labels name
	// no Kubernetes object.
	Chosen string
	// Host is the pod on whose node the alert is, where the labels do not name
	// the node; empty otherwise.
	Host Target
	// AlertID tells the alerts of one fingerprint apart: [LabelsID] of Labels.
	AlertID string
	// Cluster is the alert's cluster label; empty for an alert of this cluster.
	Cluster string
	// Namespace is where the RemediationRequest belongs.
	Namespace   string
	Labels      map[string]string
	Annotations map[string]string
	// FiringAt is when the alert began to fire, and EndedAt when it ended; that is
	// zero while it fires.
	FiringAt, EndedAt time.Time
	// SaidAt is the time of the event that says so: of two events about one alert,
	// the later one knows whether it fires.
	SaidAt time.Time
	// Payload is one JSON object: the alert as it was sent, if it is small.
	Payload json.RawMessage
}

// Signal maps an alert. at is the time of the event and stands in for a start
// that the alert does not have. When the error is not nil the alert can never
// become a RemediationRequest, and the signal holds as much of it as an audit
// event can say.
func (r Rules) Signal(a Alert, at time.Time) (Signal, error) {
	var problem error
	switch {
	case a.Problem != "":
		problem = errors.New(cut(a.Problem, maxErrorText))
	case strings.TrimSpace(a.Labels["alertname"]) == "":
		problem = ErrNoAlertname
	}
	identity := a.Identity()
	found := r.target(a)
	if a.Problem != "" {
		identity = digest(a.Raw)[:16]
		found = aim{target: Target{Kind: KindUnknown, Name: identity}}
	}
	t := found.target
	s := Signal{
		Fingerprint: r.fingerprint(a.Labels, t),
		Name:        cut(a.Labels["alertname"], maxName),
		Severity:    r.severity(a.Labels["severity"]),
		Target: Target{
			APIVersion: t.APIVersion,
			Kind:       t.Kind,
			Name:       cut(t.Name, maxName),
			Namespace:  cut(t.Namespace, maxName),
		},
		Chosen:      found.chosen,
		Host:        found.host,
		Cluster:     cut(r.cluster(a.Labels), maxName),
		Namespace:   r.namespace(t),
		Labels:      bounded(a.Labels, maxLabels, maxLabelValue),
		Annotations: bounded(a.Annotations, maxAnnotations, maxAnnotationValue),
		FiringAt:    a.StartsAt,
		EndedAt:     a.ended(at),
		SaidAt:      at,
		Payload:     payload(a.Raw),
	}
	if s.FiringAt.IsZero() {
		s.FiringAt = at
	}
	if s.AlertID = identity; !maps.Equal(s.Labels, a.Labels) {
		s.AlertID = LabelsID(s.Labels)
	}
	return s, problem
}

// Undated is the signal of an event that has no time of its own. The alert's end, or
// its start, stands in for that, so that a redelivery says the same.
func (s Signal) Undated() Signal {
	switch {
	case !s.EndedAt.IsZero():
		s.SaidAt = s.EndedAt
	case s.FiringAt.Before(s.SaidAt):
		s.SaidAt = s.FiringAt
	}
	return s
}

// Aim gives the signal of an alert another target than its labels name, and what
// follows from that: the fingerprint, and with [PlacementSignal] the namespace.
func (r Rules) Aim(s Signal, a Alert, t Target) Signal {
	s.Fingerprint, s.Namespace = r.fingerprint(a.Labels, t), r.namespace(t)
	s.Target = Target{APIVersion: cut(t.APIVersion, maxName), Kind: cut(t.Kind, maxName), Name: cut(t.Name, maxName), Namespace: cut(t.Namespace, maxName)}
	return s
}

// fingerprint is the SHA-256 of what names the alert's subject, in the order
// that the contract fixes. Full texts go in, not the cut ones.
func (r Rules) fingerprint(labels map[string]string, t Target) string {
	text := fmt.Sprintf("%s:%s:%s", t.Namespace, t.Kind, t.Name)
	if r.Fingerprint != ByResource {
		text = labels["alertname"] + ":" + text
	}
	if cluster := r.cluster(labels); cluster != "" {
		text = cluster + ":" + text
	}
	return digest([]byte(text))
}

// cluster is the name of an alert's Kubernetes cluster; empty where no label says it,
// and for this cluster.
func (r Rules) cluster(labels map[string]string) string {
	if r.ClusterLabel == "" || r.ofThisCluster(labels) {
		return ""
	}
	return labels[r.ClusterLabel]
}

// ofThisCluster tells whether the cluster label has this cluster's name.
func (r Rules) ofThisCluster(labels map[string]string) bool {
	return r.ClusterLabel != "" && r.ClusterName != "" && labels[r.ClusterLabel] == r.ClusterName
}

func (r Rules) namespace(t Target) string {
	if r.Placement == PlacementSignal && len(validation.IsDNS1123Label(t.Namespace)) == 0 {
		return t.Namespace
	}
	return r.Namespace
}

// Ignored tells whether nothing is to be done for an alert, because it does not
// fire or because configuration leaves it out, and why.
func (r Rules) Ignored(a Alert) (Reason, bool) {
	if a.NotFiring != "" {
		return NotFiring, true
	}
	if slices.Contains(r.IgnoreAlerts, a.Labels["alertname"]) {
		return IgnoredAlertname, true
	}
	if text, ok := a.Labels["severity"]; ok && slices.Contains(r.IgnoreSeverities, normal(text)) {
		return IgnoredSeverity, true
	}
	if !r.Matchers.match(a.Labels) {
		return Unmatched, true
	}
	return 0, false
}
