package datastorage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"onefire/mapping"
)

const (
	// maxDataBytes and maxDataDepth bound an event's event_data.
	maxDataBytes = 256 << 10
	maxDataDepth = 10
	// maxAhead and maxBehind bound an event's timestamp.
	maxAhead  = 60 * time.Minute
	maxBehind = 7 * 24 * time.Hour
	// retentionDays is how long an event is kept unless it says otherwise.
	retentionDays = 2555
)

// errDataLimits is how the real server refuses event_data that is too large or
// too deep.
var errDataLimits = errors.New("event_data exceeds size or nesting depth limits")

// row is a stored event, as a query gives it back.
type row struct {
	EventID         string         `json:"event_id"`
	Timestamp       time.Time      `json:"event_timestamp"`
	Date            string         `json:"event_date"`
	EventType       string         `json:"event_type"`
	Version         string         `json:"version"`
	Category        string         `json:"event_category"`
	Action          string         `json:"event_action"`
	Outcome         string         `json:"event_outcome"`
	CorrelationID   string         `json:"correlation_id"`
	ParentEventID   *string        `json:"parent_event_id"`
	ParentEventDate *time.Time     `json:"parent_event_date"`
	ResourceType    string         `json:"resource_type,omitempty"`
	ResourceID      string         `json:"resource_id,omitempty"`
	Namespace       string         `json:"namespace,omitempty"`
	ClusterName     string         `json:"cluster_name,omitempty"`
	ClusterID       string         `json:"cluster_id,omitempty"`
	Severity        string         `json:"severity,omitempty"`
	DurationMS      int            `json:"duration_ms,omitempty"`
	ErrorCode       string         `json:"error_code,omitempty"`
	ErrorMessage    string         `json:"error_message,omitempty"`
	ActorID         string         `json:"actor_id,omitempty"`
	ActorType       string         `json:"actor_type,omitempty"`
	ActorIP         string         `json:"actor_ip,omitempty"`
	RetentionDays   int            `json:"retention_days"`
	Sensitive       bool           `json:"is_sensitive"`
	Hash            string         `json:"event_hash"`
	PreviousHash    string         `json:"previous_event_hash"`
	LegalHold       bool           `json:"legal_hold"`
	HoldReason      string         `json:"legal_hold_reason"`
	HoldBy          string         `json:"legal_hold_placed_by"`
	HoldAt          *time.Time     `json:"legal_hold_placed_at"`
	Data            map[string]any `json:"event_data"`

	// source and id are the CloudEvents headers of the request, which the real
	// server ignores.
	source, id string
	// seq is the place in the order of storing.
	seq uint64
}

// request is an event as a client sends it. Fields that are not here are dropped.
type request struct {
	Version       string          `json:"version"`
	EventType     string          `json:"event_type"`
	Timestamp     time.Time       `json:"event_timestamp"`
	Category      string          `json:"event_category"`
	Action        string          `json:"event_action"`
	Outcome       string          `json:"event_outcome"`
	CorrelationID string          `json:"correlation_id"`
	ParentEventID parent          `json:"parent_event_id"`
	ResourceType  *string         `json:"resource_type"`
	ResourceID    *string         `json:"resource_id"`
	Namespace     string          `json:"namespace"`
	ClusterName   string          `json:"cluster_name"`
	ClusterID     string          `json:"cluster_id"`
	Severity      string          `json:"severity"`
	DurationMS    int             `json:"duration_ms"`
	ErrorCode     string          `json:"error_code"`
	ErrorMessage  string          `json:"error_message"`
	ActorID       *string         `json:"actor_id"`
	ActorType     *string         `json:"actor_type"`
	ActorIP       string          `json:"actor_ip"`
	RetentionDays *int            `json:"retention_days"`
	Sensitive     bool            `json:"is_sensitive"`
	Data          json.RawMessage `json:"event_data"`
}

// knownDetails are the known members of error_details.
var knownDetails = []string{"message", "code", "component", "retry_possible", "stack_trace"}

// only are the named members of an object.
func only(members map[string]json.RawMessage, names []string) map[string]json.RawMessage {
	kept := map[string]json.RawMessage{}
	for _, name := range names {
		if v, ok := members[name]; ok {
			kept[name] = v
		}
	}
	return kept
}

// parent is the id of an event's parent. A client that says null has named one
// too, and it does not exist.
type parent struct{ *string }

// UnmarshalJSON reads a UUID or null.
func (p *parent) UnmarshalJSON(raw []byte) error {
	id := uuid.Nil
	if string(raw) != "null" {
		if err := json.Unmarshal(raw, &id); err != nil {
			return fmt.Errorf("parent_event_id: %w", err)
		}
	}
	text := id.String()
	p.string = &text
	return nil
}

// known are the members of event_data that the real server's types have. It
// drops all others before it stores an event.
var known = []string{
	"event_type", "original_payload", "signal_labels", "signal_annotations", "signal_type", "signal_name",
	"namespace", "fingerprint", "severity", "resource_kind", "resource_name", "remediation_request", "deduplication_status",
	"occurrence_count", "error_details",
}

// newRow makes a row of a request that is within the contract, or says why that
// cannot be.
func (c *contract) newRow(ctx context.Context, q request) (*row, error) {
	if age := time.Since(q.Timestamp); age > maxBehind || age < -maxAhead {
		return nil, errors.New("event_timestamp is more than 7 days old or 60 minutes ahead")
	}
	names := known
	if c.schema == mapping.Schema202601 {
		names = append(names[:len(names):len(names)], "alert_name")
	} else {
		q.ClusterName = ""
	}
	data, err := gatewayData(q.Data, names)
	if err != nil {
		return nil, err
	}
	// PostgreSQL keeps microseconds.
	timestamp := q.Timestamp.UTC().Truncate(time.Microsecond)
	e := &row{
		EventID: uuid.NewString(), Timestamp: timestamp, Date: timestamp.Format(time.DateOnly), EventType: q.EventType,
		Version: q.Version, Category: q.Category, Action: q.Action, Outcome: q.Outcome, CorrelationID: q.CorrelationID,
		ParentEventID: q.ParentEventID.string,
		ResourceType:  or(q.ResourceType, q.Category), ResourceID: or(q.ResourceID, q.CorrelationID),
		Namespace: q.Namespace, ClusterName: q.ClusterName, ClusterID: q.ClusterID, Severity: q.Severity, DurationMS: q.DurationMS,
		ErrorCode: q.ErrorCode, ErrorMessage: q.ErrorMessage,
		ActorID: or(q.ActorID, q.Category+"-service"), ActorType: or(q.ActorType, "service"), ActorIP: q.ActorIP,
		RetentionDays: or(q.RetentionDays, retentionDays), Sensitive: q.Sensitive, Data: data,
	}
	if e.RetentionDays == 0 {
		e.RetentionDays = retentionDays
	}
	if name := person(ctx); name != "" {
		e.ActorType, e.ActorID = "user", name
	}
	return e, nil
}

func or[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

// gatewayData keeps the named members of event_data and checks their size and
// depth.
func gatewayData(raw json.RawMessage, names []string) (data map[string]any, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, fmt.Errorf("event_data: %w", err)
	}
	kept := only(members, names)
	if details, ok := kept["error_details"]; ok {
		var of map[string]json.RawMessage
		if err := json.Unmarshal(details, &of); err != nil {
			return nil, fmt.Errorf("error_details: %w", err)
		}
		if kept["error_details"], err = json.Marshal(only(of, knownDetails)); err != nil {
			return nil, fmt.Errorf("error_details: %w", err)
		}
	}
	out, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("event_data: %w", err)
	}
	if len(out) > maxDataBytes {
		return nil, fmt.Errorf("%w: it has %d bytes", errDataLimits, len(out))
	}
	if depth(out) > maxDataDepth {
		return nil, fmt.Errorf("%w: it is more than %d levels deep", errDataLimits, maxDataDepth)
	}
	// Numbers become floating point numbers, as in the real server.
	if err := json.Unmarshal(out, &data); err != nil {
		return nil, fmt.Errorf("event_data: %w", err)
	}
	return data, nil
}

// depth is how many objects and arrays valid JSON has within one another.
func depth(raw []byte) int {
	now, most := 0, 0
	for d := json.NewDecoder(bytes.NewReader(raw)); ; {
		token, err := d.Token()
		if err != nil {
			return most
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			most = max(most, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

// auditID is Onefire's own id of an event; other events have none.
func (e *row) auditID() string {
	annotations, _ := e.Data["signal_annotations"].(map[string]any)
	id, _ := annotations[AuditIDAnnotation].(string)
	return id
}
