// Package audit makes audit events and delivers them.
//
// An audit event is a CloudEvent in binary mode whose body is what DataStorage
// asks for, so that one POST serves any CloudEvents sink and DataStorage alike.
// Its id follows from the event that caused it, so a redelivery sends the same
// ids and the sink can keep each once.
//
// Delivery blocks until the sink has taken the event, refused it for good, or
// was not available within the bounds in limits.go. Nothing is queued: when
// Deliver returns nil the sink has the event, and a crash loses nothing that was
// acknowledged.
package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
)

// idSpace separates our UUIDs from everybody else's: the UUIDv5 of "onefire" in
// the name space of object identifiers.
var idSpace = uuid.NewSHA1(uuid.NameSpaceOID, []byte("onefire"))

// source is the CloudEvents source of every audit event.
const source = "onefire"

// Event is one audit event.
type Event struct {
	// Source and ID are the incoming CloudEvent's, and Alert tells the
	// occurrence of an alert from all others under them: some senders have
	// one constant id. With the type they determine the event's own id.
	Source string
	ID     string
	Alert  string
	// Type is the event type, in CloudEvents and in DataStorage alike.
	Type string
	// Time is when the decision was made.
	Time time.Time
	// Subject is the name of the RemediationRequest; empty where there is none.
	Subject string
	// PartitionKey is the fingerprint, for sinks that keep order by key.
	PartitionKey string
	// Traceparent is the incoming event's trace context; may be empty.
	Traceparent string
	// Data is the body: DataStorage's AuditEventRequest.
	Data any
}

// EventID is the UUIDv5 of what caused an event and of its type: the same for
// every delivery of the same event.
func EventID(source, id, alert, eventType string) string {
	return uuid.NewSHA1(idSpace, fmt.Appendf(nil, "%q %q %q %q", source, id, alert, eventType)).String()
}

// cloudEvent is the event as it goes out. extensions are added to our own.
func (e Event) cloudEvent(extensions map[string]string) (event.Event, error) {
	out := event.New()
	out.SetID(EventID(e.Source, e.ID, e.Alert, e.Type))
	out.SetSource(source)
	out.SetType(e.Type)
	out.SetTime(e.Time)
	if e.Subject != "" {
		out.SetSubject(headerValue(e.Subject))
	}
	for name, value := range map[string]string{
		"causationid":  e.ID,
		"partitionkey": e.PartitionKey,
		"traceparent":  e.Traceparent,
	} {
		if value != "" {
			out.SetExtension(name, headerValue(value))
		}
	}
	for name, value := range extensions {
		out.SetExtension(name, headerValue(value))
	}
	body, err := json.Marshal(e.Data)
	if err != nil {
		return event.Event{}, fmt.Errorf("encoding audit event %s: %w", e.Type, err)
	}
	if err := out.SetData(event.ApplicationJSON, body); err != nil {
		return event.Event{}, fmt.Errorf("encoding audit event %s: %w", e.Type, err)
	}
	if err := out.Validate(); err != nil {
		return event.Event{}, fmt.Errorf("building audit event %s: %w", e.Type, err)
	}
	return out, nil
}

// headerValue percent-encodes what the CloudEvents HTTP binding wants encoded
// in a header and the SDK does not: everything but printable ASCII, and space,
// double quote and per cent.
func headerValue(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
