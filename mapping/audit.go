package mapping

import (
	"encoding/json"
	"maps"
	"strings"
	"time"
)

// Schema is a dated version of DataStorage's contract for audit events.
type Schema string

// The schemas.
const (
	// Schema202601 says alert_name, prometheus-alert and cluster_name.
	Schema202601 Schema = "2026-01"
	// Schema202608 says signal_name, alert and cluster_id, with the same value in
	// cluster_name: releases v1.0 to v1.5.7 know only that, later ones only cluster_id,
	// and each drops a field that it does not know.
	Schema202608 Schema = "2026-08"
)

// SignalType is what the schema calls a signal that came from Prometheus; the
// RemediationRequest carries the same.
func (s Schema) SignalType() string {
	if s == Schema202608 {
		return "alert"
	}
	return "prometheus-alert"
}

// Types of audit events.
const (
	SignalReceived     = "gateway.signal.received"
	SignalDeduplicated = "gateway.signal.deduplicated"
	RequestCreated     = "gateway.crd.created"
	RequestFailed      = "gateway.crd.failed"
)

// Record is what was decided for one alert.
type Record struct {
	// Decision is [New], [Duplicate], [Invalid] or [Capped].
	Decision Decision
	// Request is the name of the RemediationRequest; empty for a failure.
	Request string
	// Count is the occurrence count after this alert.
	Count int32
	// Failure is set when the decision is [Invalid] or [Capped].
	Failure *Failure
	// ID gives the id of the audit event of a type, which then is an entry
	// [AuditIDKey] of its signal_annotations; nil for none.
	ID func(eventType string) string
}

// AuditIDKey names the entry of signal_annotations that holds the audit event's
// id: DataStorage gives each row an id of its own and returns annotations
// unchanged.
const AuditIDKey = "onefire/audit-id"

// Failure is why an alert did not become a RemediationRequest.
type Failure struct {
	// Code is one of the contract's ERR_ codes.
	Code    string
	Message string
	// RetryPossible tells that the same alert can become one later.
	RetryPossible bool
}

// AuditRequest is DataStorage's AuditEventRequest, in either schema.
type AuditRequest struct {
	Version       string    `json:"version"`
	EventType     string    `json:"event_type"`
	Timestamp     time.Time `json:"event_timestamp"`
	Category      string    `json:"event_category"`
	Action        string    `json:"event_action"`
	Outcome       string    `json:"event_outcome"`
	CorrelationID string    `json:"correlation_id"`
	ActorType     string    `json:"actor_type"`
	ActorID       string    `json:"actor_id"`
	ResourceType  string    `json:"resource_type"`
	ResourceID    string    `json:"resource_id"`
	// ParentEventID is DataStorage's own id of another event; only [Rules.Trial] has one.
	ParentEventID string         `json:"parent_event_id,omitempty"`
	Namespace     string         `json:"namespace,omitempty"`
	Severity      Severity       `json:"severity,omitempty"`
	ClusterName   string         `json:"cluster_name,omitempty"`
	ClusterID     string         `json:"cluster_id,omitempty"`
	Data          AuditEventData `json:"event_data"`
}

// AuditEventData is the event_data of the gateway's events.
type AuditEventData struct {
	EventType           string            `json:"event_type"`
	SignalType          string            `json:"signal_type"`
	AlertName           string            `json:"alert_name,omitempty"`
	SignalName          string            `json:"signal_name,omitempty"`
	Namespace           string            `json:"namespace"`
	Fingerprint         string            `json:"fingerprint"`
	Severity            Severity          `json:"severity"`
	ResourceKind        string            `json:"resource_kind"`
	ResourceName        string            `json:"resource_name"`
	RemediationRequest  string            `json:"remediation_request,omitempty"`
	DeduplicationStatus string            `json:"deduplication_status,omitempty"`
	OccurrenceCount     int32             `json:"occurrence_count,omitempty"`
	SignalLabels        map[string]string `json:"signal_labels,omitempty"`
	SignalAnnotations   map[string]string `json:"signal_annotations,omitempty"`
	OriginalPayload     json.RawMessage   `json:"original_payload,omitempty"`
	ErrorDetails        *ErrorDetails     `json:"error_details,omitempty"`
}

// ErrorDetails is the error_details of a failure.
type ErrorDetails struct {
	Message       string `json:"message"`
	Code          string `json:"code"`
	Component     string `json:"component"`
	RetryPossible bool   `json:"retry_possible"`
}

// shape is the part of an audit event that follows from its type alone.
type shape struct {
	eventType, action, outcome, actorType, actorID, resourceType string
}

var (
	received     = shape{SignalReceived, "received", "success", "external", "prometheus", "Signal"}
	deduplicated = shape{SignalDeduplicated, "deduplicated", "success", "external", "prometheus", "Signal"}
	created      = shape{RequestCreated, "created", "success", "gateway", "crd-creator", "RemediationRequest"}
	failed       = shape{RequestFailed, "failed", "failure", "gateway", "crd-creator", "RemediationRequest"}
)

// Audit gives the audit requests that a decision calls for: two for a new
// RemediationRequest, one for a duplicate and one for a failure. at is when the
// decision was made.
//
// DataStorage orders the events of one RemediationRequest by their times, so no
// two have the same: the first event of a decision with count n is 2n-1
// microseconds after at, and the second is a microsecond later.
func (r Rules) Audit(s Signal, d Record, at time.Time) []AuditRequest {
	at = at.UTC().Truncate(time.Microsecond)
	if d.Failure != nil {
		return []AuditRequest{r.audit(failed, s, d, at)}
	}
	at = at.Add(min(2*time.Duration(max(d.Count, 1))-1, maxAuditOffset) * time.Microsecond)
	if d.Decision == New {
		return []AuditRequest{r.audit(received, s, d, at), r.audit(created, s, d, at.Add(time.Microsecond))}
	}
	return []AuditRequest{r.audit(deduplicated, s, d, at)}
}

// Trial is an audit request of the schema that no DataStorage stores: it is of 1970,
// and its parent does not exist. DataStorage checks the schema before it looks at
// either, so its answer tells whether it takes this schema.
func (r Rules) Trial() AuditRequest {
	s := Signal{
		Name: "OnefireReadiness", Fingerprint: strings.Repeat("0", 64), Severity: Unknown, Namespace: r.Namespace,
		Target: Target{Kind: "Unknown", Name: "onefire"},
	}
	a := r.audit(failed, s, Record{Decision: Invalid, Failure: &Failure{Code: "ERR_INVALID_ALERT", Message: "a readiness probe: not stored"}}, time.Unix(0, 0).UTC())
	a.CorrelationID = TrialCorrelation
	a.ParentEventID = "00000000-0000-4000-8000-000000000000"
	return a
}

// TrialCorrelation is the correlation id of [Rules.Trial]: no audit event has it.
const TrialCorrelation = "onefire-readiness"

func (r Rules) audit(k shape, s Signal, d Record, at time.Time) AuditRequest {
	a := AuditRequest{
		Version: "1.0", Timestamp: at, Category: "gateway",
		EventType: k.eventType, Action: k.action, Outcome: k.outcome,
		ActorType: k.actorType, ActorID: k.actorID,
		CorrelationID: d.Request, ResourceType: k.resourceType, ResourceID: s.Fingerprint,
		Namespace: s.Namespace, Severity: s.Severity.within(maxAuditSeverity), ClusterName: s.Cluster,
		Data: AuditEventData{
			EventType: k.eventType, SignalType: r.Schema.SignalType(),
			Namespace: s.Target.Namespace, Fingerprint: s.Fingerprint, Severity: s.Severity,
			ResourceKind: s.Target.Kind, ResourceName: s.Target.Name,
			OccurrenceCount: d.Count,
			SignalLabels:    s.Labels, SignalAnnotations: s.Annotations,
			OriginalPayload: flatten(s.Payload, maxAuditDepth),
		},
	}
	if d.ID != nil {
		a.Data.SignalAnnotations = make(map[string]string, len(s.Annotations)+1)
		maps.Copy(a.Data.SignalAnnotations, s.Annotations)
		a.Data.SignalAnnotations[AuditIDKey] = d.ID(k.eventType)
	}
	name := s.Name
	if strings.TrimSpace(name) == "" {
		name = "unknown"
	}
	if r.Schema == Schema202608 {
		a.ClusterID, a.Data.SignalName = s.Cluster, name
	} else {
		a.Data.AlertName = name
	}
	if a.Data.Namespace == "" {
		// The contract requires one; what is cluster-scoped is filed where
		// its RemediationRequest is.
		a.Data.Namespace = s.Namespace
	}
	if d.Request == "" {
		a.CorrelationID = s.Fingerprint
	} else {
		request := s.Namespace + "/" + d.Request
		a.Data.RemediationRequest = request
		if k == created {
			a.ResourceID = request
		}
	}
	if d.Failure == nil {
		a.Data.DeduplicationStatus = string(d.Decision)
	} else {
		a.Data.ErrorDetails = &ErrorDetails{
			Message:       cut(d.Failure.Message, maxErrorText),
			Code:          d.Failure.Code,
			Component:     "gateway",
			RetryPossible: d.Failure.RetryPossible,
		}
	}
	return a
}
