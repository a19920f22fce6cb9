package tracing

import (
	"go.opentelemetry.io/otel/attribute"
)

// Names of attributes after OpenTelemetry's semantic conventions.
const (
	ErrorType    = "error.type"
	ErrorMessage = "error.message"
	Method       = "http.request.method"
	Resend       = "http.request.resend_count"
	Status       = "http.response.status_code"
	Server       = "server.address"
	ServerPort   = "server.port"
	Namespace    = "k8s.namespace.name"
	Route        = "http.route"
)

// Names of attributes of our own.
const (
	// Alert is an alert's name, Fingerprint its signal's.
	Alert       = "onefire.alert.name"
	Fingerprint = "onefire.fingerprint"
	// Alerts is how many alerts a span is about, Truncated how many
	// Alertmanager left out.
	Alerts    = "onefire.alerts"
	Truncated = "onefire.alerts.truncated"
	// Decision and Reason are what became of an alert, and why; Request is the
	// RemediationRequest, "namespace/name", and Count its occurrence count.
	Decision = "onefire.decision"
	Reason   = "onefire.reason"
	Request  = "onefire.request"
	Count    = "onefire.count"
	// Verb and Resource are those of a call of the Kubernetes API.
	Verb     = "onefire.api.verb"
	Resource = "onefire.api.resource"
	// Result is what became of an event that was sent.
	Result = "onefire.result"
	// Attempt counts the tries to send an event, from 1.
	Attempt = "onefire.attempt"
	// Shared says of a link what was done in the linked span for this one, too.
	Shared = "onefire.shared"
)

// Texts are attributes of texts, each a name and its value.
func Texts(pairs ...string) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(pairs)/2+2)
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, attribute.String(pairs[i], pairs[i+1]))
	}
	return all
}

// Event is a CloudEvent as attributes need it.
type Event struct {
	// Operation is "process" or "send".
	Operation                              string
	ID, Source, SpecVersion, Type, Subject string
}

// Name is the name of the event's span.
func (e Event) Name() string { return Cut(e.Operation + " " + e.Type) }

// Attributes are those of the event's span.
func (e Event) Attributes() []attribute.KeyValue {
	var all []attribute.KeyValue
	for _, a := range [...][2]string{
		{"messaging.system", "cloudevents"},
		{"messaging.operation.name", e.Operation},
		{"messaging.operation.type", e.Operation},
		{"cloudevents.event_id", e.ID},
		{"cloudevents.event_source", e.Source},
		{"cloudevents.event_spec_version", e.SpecVersion},
		{"cloudevents.event_type", e.Type},
		{"cloudevents.event_subject", e.Subject},
	} {
		if a[1] != "" {
			all = append(all, attribute.String(a[0], Cut(a[1])))
		}
	}
	return all
}
