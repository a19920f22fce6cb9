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
			FirstSeenAt     string           `json:"firstSeenAt"`
			LastSeenAt      string           `json:"lastSeenAt"`
			LastResolvedAt  string           `json:"lastResolvedAt"`
			OccurrenceCount int64            `json:"occurrenceCount"`
			Events          map[string]int32 `json:"events"`
			Absorbed        map[string]int32 `json:"absorbed"`
			Alerts          []wireAlert      `json:"alerts"`
			AlertsOmitted   bool             `json:"alertsOmitted"`
		} `json:"deduplication"`
	} `json:"status"`
}

type wireAlert struct {
	Alertname   string           `json:"alertname"`
	Severity    mapping.Severity `json:"severity"`
	FirstSeenAt string           `json:"firstSeenAt"`
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
		lastResolved:    instant(d.LastResolvedAt),
		manualReview:    s.Outcome == manualReview || s.CompletionStatus.Outcome == manualReview,
		nextAllowed:     later(instant(s.NextAllowedExecution), instant(s.RoutingStatus.NextAllowedExecution)),
		// An object is one occurrence, also where a CRD does not say so.
		count:    int32(min(max(d.OccurrenceCount, 1), math.MaxInt32)),
		events:   counts(d.Events),
		absorbed: counts(d.Absorbed),
		alert:    alert{w.Spec.SignalName, w.Spec.Severity},
		folds:    folds{omitted: d.AlertsOmitted},
	}
	for _, a := range d.Alerts {
		o.folds = o.fold(folded{alert{a.Alertname, a.Severity}, instant(a.FirstSeenAt)})
	}
	if key := m.Annotations[eventAnnotation]; key != "" {
		o.events[key] = 1
	}
	return o
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
