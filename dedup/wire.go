package dedup

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// wireObject is the part of a RemediationRequest that the protocol reads; the
// rest is skipped when it is decoded.
type wireObject struct {
	Metadata struct {
		Name              string            `json:"name"`
		UID               types.UID         `json:"uid"`
		ResourceVersion   string            `json:"resourceVersion"`
		CreationTimestamp string            `json:"creationTimestamp"`
		DeletionTimestamp string            `json:"deletionTimestamp"`
		Labels            map[string]string `json:"labels"`
		Annotations       map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		SignalFingerprint string           `json:"signalFingerprint"`
		SignalName        string           `json:"signalName"`
		Severity          mapping.Severity `json:"severity"`
		SignalLabels      rawText          `json:"signalLabels"`
		FiringTime        string           `json:"firingTime"`
		ReceivedTime      string           `json:"receivedTime"`
	} `json:"spec"`
	Status struct {
		OverallPhase         string `json:"overallPhase"`
		Outcome              string `json:"outcome"`
		NextAllowedExecution string `json:"nextAllowedExecution"`
		CompletionStatus     struct {
			Outcome string `json:"outcome"`
		} `json:"completionStatus"`
		RoutingStatus struct {
			NextAllowedExecution string `json:"nextAllowedExecution"`
		} `json:"routingStatus"`
		Deduplication struct {
			FirstSeenAt     string               `json:"firstSeenAt"`
			LastSeenAt      string               `json:"lastSeenAt"`
			LastResolvedAt  string               `json:"lastResolvedAt"`
			OccurrenceCount int64                `json:"occurrenceCount"`
			Events          map[string]int32     `json:"events"`
			Absorbed        map[string]int32     `json:"absorbed"`
			Alerts          []wireAlert          `json:"alerts"`
			AlertsOmitted   bool                 `json:"alertsOmitted"`
			AlertStates     map[string]wireState `json:"alertStates"`
		} `json:"deduplication"`
	} `json:"status"`
}

type wireAlert struct {
	ID          string            `json:"id"`
	Alertname   string            `json:"alertname"`
	Severity    mapping.Severity  `json:"severity"`
	Labels      map[string]string `json:"labels"`
	FirstSeenAt string            `json:"firstSeenAt"`
}

type wireState struct {
	FiringSeenAt   string `json:"firingSeenAt"`
	ResolvedSeenAt string `json:"resolvedSeenAt"`
	EndsAt         string `json:"endsAt"`
}

// rawText is JSON that is decoded only where it is needed, so that a List costs
// no more for it.
type rawText string

func (r *rawText) UnmarshalJSON(b []byte) error {
	*r = rawText(b)
	return nil
}

// decode reads JSON as the API server gave it. What is of an unexpected type is
// read as empty: foreign CRDs differ.
func decode(body []byte, into any) error {
	var wrongType *json.UnmarshalTypeError
	if err := json.Unmarshal(body, into); err != nil && !errors.As(err, &wrongType) {
		return fmt.Errorf("decoding the API server's answer: %w", err)
	}
	return nil
}

// observe reads an object as the API server gave it.
func (w *wireObject) observe() object {
	m, s, d := &w.Metadata, &w.Status, &w.Status.Deduplication
	o := object{
		name:            m.Name,
		uid:             m.UID,
		resourceVersion: m.ResourceVersion,
		createdAt:       instant(m.CreationTimestamp),
		ours:            m.Labels[managedByLabel] == managedBy,
		deleting:        m.DeletionTimestamp != "",
		fingerprint:     w.Spec.SignalFingerprint,
		phase:           s.OverallPhase,
		firstSeen:       instant(d.FirstSeenAt),
		lastSeen:        instant(d.LastSeenAt),
		manualReview:    s.Outcome == manualReview || s.CompletionStatus.Outcome == manualReview,
		nextAllowed:     later(instant(s.NextAllowedExecution), instant(s.RoutingStatus.NextAllowedExecution)),
		// An object is one occurrence, also where a CRD does not say so.
		count:    int32(min(max(d.OccurrenceCount, 1), math.MaxInt32)),
		events:   counts(d.Events),
		absorbed: counts(d.Absorbed),
		alert:    alert{name: w.Spec.SignalName, severity: w.Spec.Severity},
		labels:   string(w.Spec.SignalLabels),
		firing:   w.firing(),
		folds:    folds{omitted: d.AlertsOmitted, states: states(d.AlertStates), lastResolved: instant(d.LastResolvedAt)},
	}
	for _, a := range d.Alerts {
		// An alert without an identity is the object's own if it is called the same.
		if other := (alert{a.ID, a.Alertname, a.Severity}); other != o.alert {
			o.add(folded{other, a.Labels, instant(a.FirstSeenAt)})
		}
	}
	if key := m.Annotations[eventAnnotation]; key != "" {
		o.events[key] = 1
	}
	return o
}

// firing is when the event that made the object said that its alert fires. Where
// that is not known, the start of the alert is the earliest that it can be.
func (w *wireObject) firing() time.Time {
	if at := instant(w.Metadata.Annotations[timeAnnotation]); !at.IsZero() {
		return at
	}
	began, received := instant(w.Spec.FiringTime), instant(w.Spec.ReceivedTime)
	if began.IsZero() || !received.IsZero() && received.Before(began) {
		return received
	}
	return began
}

func states(all map[string]wireState) map[string]state {
	if len(all) == 0 {
		return nil
	}
	m := make(map[string]state, len(all))
	for id, s := range all {
		m[id] = state{firing: instant(s.FiringSeenAt), resolved: instant(s.ResolvedSeenAt), ended: instant(s.EndsAt)}
	}
	return m
}

// counts drops what is no count.
func counts(m map[string]int32) map[string]int32 {
	if m == nil {
		return map[string]int32{}
	}
	for key, n := range m {
		if n <= 0 {
			delete(m, key)
		}
	}
	return m
}

func instant(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
