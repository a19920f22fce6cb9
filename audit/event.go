// Package audit makes audit events and delivers them, to kubernaut's DataStorage
// or to any other sink that takes CloudEvents. Its [Client] is also how the source and
// a replay of dead letters deliver theirs.
//
// An audit event is a CloudEvent in binary mode whose body is what DataStorage
// asks for. Its id follows from the event that caused it, so a redelivery has the
// same ids. Deliver returns nil for an event when the sink has accepted it, so a
// crash loses nothing that was acknowledged.
//
// A CloudEvents sink keeps each id once, and an event may be sent to it again.
// DataStorage stores one row for each post, and knows no ids but its own. The sink
// therefore
//   - sends the events that wait at the same time as one batch, in the order of
//     their times, with few posts under way, fewer when DataStorage is slow;
//   - never hangs up before DataStorage's own time limits have passed, also when
//     its caller has gone: DataStorage would store the event a minute later;
//   - remembers which events were accepted;
//   - asks DataStorage for the rows of an event's time, and looks for the event's id
//     among them, before it sends an event again.
//
// Several processes can have the same event. The process that counted its alert sends
// the audit events first: it alone does so in the seconds that follow (ownDelivery), and
// without a question. The other processes wait until later (firstDelivery). After that,
// each of them asks right before each post.
//
// The way of an event through the files: deliver.go takes it from the caller and waits,
// queue.go decides what goes next, post.go sends it, client.go makes the request,
// answer.go says what the answer means, and pace.go when the next request may begin.
//
// Few doubles remain. DataStorage queues an event that it cannot store in time, and
// answers 202. If that answer is lost, the row appears up to a minute later, or
// later still: an event that is sent again before is stored twice. The same holds
// for a process that is killed while DataStorage queues its event. And where one
// process's post takes long, another process that asks meanwhile does not see its rows.
package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
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
	// Data is the body: DataStorage's AuditEventRequest. Its timestamp is Time, its
	// category gateway, and its correlation id Subject, or PartitionKey without
	// one.
	Data any
	// Again tells that the event may have been sent before, here or elsewhere, with
	// the same Time. DataStorage is then asked for it first: an entry
	// "onefire/audit-id" of the signal_annotations in its event_data must be its
	// [EventID].
	Again bool
	// Since is when the decision was made, by the API server's clock; zero where nobody
	// knows. The process that made it may be sending the event: for firstDelivery it
	// proves nothing to others that DataStorage has no such event, and that process
	// itself asks from ownDelivery on.
	Since time.Time
	// Span is the span that tries are noted on; may be nil.
	Span trace.Span
}

// EventID is the UUIDv5 of what caused an event and of its type: the same for
// every delivery of the same event.
func EventID(source, id, alert, eventType string) string {
	return eventID(source, id, alert, eventType).String()
}

func eventID(source, id, alert, eventType string) uuid.UUID {
	return uuid.NewSHA1(idSpace, fmt.Appendf(nil, "%q %q %q %q", source, id, alert, eventType))
}

func (e Event) id() uuid.UUID { return eventID(e.Source, e.ID, e.Alert, e.Type) }

// cloudEvent is the event as it goes out. extensions are added to our own.
func (e Event) cloudEvent(extensions map[string]string) (event.Event, error) {
	out := event.New()
	out.SetID(e.id().String())
	out.SetSource(source)
	out.SetType(e.Type)
	out.SetTime(e.Time)
	out.SetSubject(HeaderValue(e.Subject)) // An empty one is none.
	// Package config has these names, too: nobody may override one.
	for name, value := range map[string]string{
		"causationid":  e.ID,
		"partitionkey": e.PartitionKey,
		"traceparent":  e.Traceparent,
	} {
		if value != "" {
			out.SetExtension(name, HeaderValue(value))
		}
	}
	for name, value := range extensions {
		out.SetExtension(name, HeaderValue(value))
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

// HeaderValue percent-encodes what the CloudEvents HTTP binding wants encoded
// in a header and the SDK does not: everything but printable ASCII, and space,
// double quote and per cent.
func HeaderValue(s string) string {
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
