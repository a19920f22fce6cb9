package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
)

// Names of attributes in OpenTelemetry's semantic conventions.
const (
	AttrErrorType  = "error.type"
	AttrMethod     = "http.request.method"
	AttrResend     = "http.request.resend_count"
	AttrStatus     = "http.response.status_code"
	AttrServer     = "server.address"
	AttrServerPort = "server.port"
	AttrNamespace  = "k8s.namespace.name"
	AttrRoute      = "http.route"
)

// Names of Onefire's own attributes.
const (
	// AttrAlert is an alert's name, AttrFingerprint its signal's fingerprint.
	AttrAlert       = "onefire.alert.name"
	AttrFingerprint = "onefire.fingerprint"
	// AttrAlerts is how many alerts a span is about. AttrTruncated is how many alerts
	// Alertmanager left out.
	AttrAlerts    = "onefire.alerts"
	AttrTruncated = "onefire.alerts.truncated"
	// AttrDecision and AttrReason are the decision on an alert and its reason.
	// AttrRequest is the RemediationRequest, "namespace/name", and AttrCount its
	// occurrence count.
	AttrDecision = "onefire.decision"
	AttrReason   = "onefire.reason"
	AttrRequest  = "onefire.request"
	AttrCount    = "onefire.count"
	// AttrVerb and AttrResource describe a call of the Kubernetes API.
	AttrVerb     = "onefire.api.verb"
	AttrResource = "onefire.api.resource"
	// AttrResult is the outcome of an event that was sent.
	AttrResult = "onefire.result"
	// AttrShared, on a link, names the work that the linked span has done for this span
	// too.
	AttrShared = "onefire.shared"
)

// Texts makes attributes from names and values in turn.
func Texts(pairs ...string) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(pairs)/2+2)
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, attribute.String(pairs[i], pairs[i+1]))
	}
	return all
}

// EventSpan has the attributes of a CloudEvent's span.
type EventSpan struct {
	// Operation is "process" or "send".
	Operation                              string
	ID, Source, SpecVersion, Type, Subject string
}

// Name is the name of the event's span.
func (e EventSpan) Name() string { return Cut(e.Operation + " " + e.Type) }

// Attributes are those of the event's span.
func (e EventSpan) Attributes() []attribute.KeyValue {
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
