package mapping

import "time"

// Every bound on what one alert may carry onwards. Bytes are bytes of UTF-8.
// Together they are below 100 KiB, which JSON's escapes can make 600 KiB: less
// than the 1.5 MiB at which etcd refuses a write, and than DataStorage's 5 MiB.
const (
	// MaxAlerts in one event. Alertmanager groups rarely pass a few hundred;
	// beyond this a redelivery could not settle within the event's deadline.
	MaxAlerts = 2000
	// maxFields is how many labels, annotations and other fields an alert may
	// come with: more would take many times its size to decode.
	maxFields = 25_000

	// maxName is the CRD's maxLength of signalName, clusterID and names.
	maxName = 253
	// maxSeverity is the CRD's maxLength of a severity, in bytes: no text has more
	// characters than bytes.
	maxSeverity = 50
	// maxAuditSeverity is what DataStorage's column for severities holds. It answers
	// 202 to an event with a longer one, and never stores it. The event's data have
	// the whole text.
	maxAuditSeverity = 20
	// maxKey is the longest label or annotation name kept whole.
	maxKey = 253
	// maxLabels and maxAnnotations are entries kept per alert, beside the one
	// that says what was left out; public rule sets stay below 30.
	maxLabels      = 64
	maxAnnotations = 32
	// maxLabelValue keeps every identifier and most expressions whole.
	maxLabelValue = 1 << 10
	// maxAnnotationValue keeps a long description with a runbook link whole.
	maxAnnotationValue = 4 << 10
	// maxMap is the size of all names and values of one map together.
	maxMap = 24 << 10
	// maxPayload is the size of the alert's own JSON up to which it is kept.
	maxPayload = 16 << 10
	// maxPayloadDepth is the nesting up to which it is kept; a real alert has two.
	maxPayloadDepth = 16
	// maxAuditDepth is the nesting of the payload in an audit event: DataStorage
	// refuses an event_data that nests more than ten levels in all. Deeper values
	// become texts.
	maxAuditDepth = 8
	// maxAuditOffset is how far, in microseconds, the first audit event of a
	// decision is from the second in which the alert was counted; another one
	// still fits behind it.
	maxAuditOffset = 999_998
	// maxAhead is how far an event's time may be ahead of the clock here and be
	// believed: what clocks differ by. DataStorage takes an hour.
	maxAhead = 5 * time.Minute
	// firstYear is the first year in which an event can have been sent: a clock that was
	// never set begins in 1970, 2000 or the year in which its machine was built.
	firstYear = 2020
	// maxErrorText is the size of an error message in an audit event.
	maxErrorText = 1 << 10
)
