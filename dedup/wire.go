package dedup

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// wireObject is the part of a RemediationRequest that the protocol reads. Decoding skips
// the rest.
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
		OverallPhase         string    `json:"overallPhase"`
		Outcome              string    `json:"outcome"`
		NextAllowedExecution string    `json:"nextAllowedExecution"`
		Conditions           []rawText `json:"conditions"`
		CompletionStatus     struct {
			Outcome string `json:"outcome"`
		} `json:"completionStatus"`
		RoutingStatus struct {
			NextAllowedExecution string `json:"nextAllowedExecution"`
		} `json:"routingStatus"`
		Deduplication struct {
			FirstSeenAt     string `json:"firstSeenAt"`
			LastSeenAt      string `json:"lastSeenAt"`
			LastResolvedAt  string `json:"lastResolvedAt"`
			OccurrenceCount int64  `json:"occurrenceCount"`
			// People read these; the record has the same alerts.
			Alerts        []wireAlert `json:"alerts"`
			AlertsOmitted bool        `json:"alertsOmitted"`
			// Earlier versions kept the rest of the record here.
			Events      map[string]int32     `json:"events"`
			Absorbed    map[string]int32     `json:"absorbed"`
			AlertStates map[string]wireState `json:"alertStates"`
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
	FiringSeenAt   string `json:"firingSeenAt,omitempty"`
	ResolvedSeenAt string `json:"resolvedSeenAt,omitempty"`
	EndsAt         string `json:"endsAt,omitempty"`
}

// rawText is JSON that is decoded only where it is needed, which keeps Lists cheap.
type rawText string

func (r *rawText) UnmarshalJSON(b []byte) error {
	*r = rawText(b)
	return nil
}

// decode reads JSON from the API server. A value of an unexpected type is read as empty,
// because foreign CRDs differ.
func decode(body []byte, into any) error {
	var wrongType *json.UnmarshalTypeError
	if err := json.Unmarshal(body, into); err != nil && !errors.As(err, &wrongType) {
		return fmt.Errorf("decoding the API server's answer: %w", err)
	}
	return nil
}

// observe reads an object from the API server's JSON.
func (w *wireObject) observe() object {
	m, s, d := &w.Metadata, &w.Status, &w.Status.Deduplication
	o := object{
		name:            m.Name,
		uid:             m.UID,
		resourceVersion: m.ResourceVersion,
		createdAt:       parseTime(m.CreationTimestamp),
		ours:            m.Labels[managedByLabel] == managedBy,
		deleting:        m.DeletionTimestamp != "",
		fingerprint:     w.Spec.SignalFingerprint,
		phase:           s.OverallPhase,
		firstSeen:       parseTime(d.FirstSeenAt),
		lastSeen:        parseTime(d.LastSeenAt),
		manualReview:    s.Outcome == manualReview || s.CompletionStatus.Outcome == manualReview,
		nextAllowed:     later(parseTime(s.NextAllowedExecution), parseTime(s.RoutingStatus.NextAllowedExecution)),
		// An object is one occurrence, even if its CRD does not set the count.
		count:      int32(min(max(d.OccurrenceCount, 1), math.MaxInt32)),
		events:     map[string]recordEntry{},
		absorbed:   map[string]int32{},
		alert:      alert{name: w.Spec.SignalName, severity: w.Spec.Severity},
		labels:     string(w.Spec.SignalLabels),
		firing:     w.firing(),
		follows:    types.UID(m.Annotations[followsAnnotation]),
		createdFor: m.Annotations[eventAnnotation],
		old:        len(d.Events)+len(d.Absorbed)+len(d.AlertStates) > 0,
	}
	seen := folds{omitted: d.AlertsOmitted, lastResolved: parseTime(d.LastResolvedAt)}
	found := o.readConditions(s.Conditions)
	if !found {
		o.lastResolved = seen.lastResolved
	}
	if o.old || !found {
		w.readOld(&o)
	}
	if o.createdFor != "" {
		o.events[o.createdFor] = entryAt(1, o.createdAt)
	}
	o.displayStale = o.omitted != seen.omitted || !o.lastResolved.Equal(seen.lastResolved) ||
		!slices.EqualFunc(o.others, d.Alerts, func(a folded, b wireAlert) bool { return a.id == b.ID && a.severity == b.Severity })
	return o
}

// readOld adds what an earlier version kept elsewhere. It did not store when it counted.
// The creation time of the object stands in, because it is the same for every reader.
func (w *wireObject) readOld(o *object) {
	d := &w.Status.Deduplication
	for key, n := range d.Events {
		if _, known := o.events[key]; n > 0 && !known {
			o.events[key] = entryAt(n, o.createdAt)
		}
	}
	for uid, n := range d.Absorbed {
		if n > 0 {
			o.absorbed[uid] = max(o.absorbed[uid], n)
		}
	}
	for _, a := range d.Alerts {
		o.addNamed(a)
	}
	for id, s := range d.AlertStates {
		o.mergeState(id, s)
	}
	o.omitted = o.omitted || d.AlertsOmitted
}

// firing is when the event that the object was created for said that its alert fires. If
// that is unknown, it is the start of the alert, the earliest possible time.
func (w *wireObject) firing() time.Time {
	if at := parseTime(w.Metadata.Annotations[timeAnnotation]); !at.IsZero() {
		return at
	}
	began, received := parseTime(w.Spec.FiringTime), parseTime(w.Spec.ReceivedTime)
	if began.IsZero() || !received.IsZero() && received.Before(began) {
		return received
	}
	return began
}

// parseTime returns zero for a text that is no time.
func parseTime(s string) time.Time {
	if s == "" { // Most are, and an error of time.Parse costs memory.
		return time.Time{}
	}
	t, _ := time.Parse(time.RFC3339, s)
	return t
}
