package config

// AuditMode says whether an alert waits for its audit events.
type AuditMode string

// The audit modes.
const (
	// AuditRequired: an event is acknowledged only when its audit events are.
	AuditRequired AuditMode = "required"
	// AuditBestEffort: a failing sink does not hold an alert back.
	AuditBestEffort AuditMode = "best-effort"
)

// NoAudit is the value of AUDIT_SINK with which the function makes no audit events.
const NoAudit = "none"

// NoBrake is the value of BRAKE with which nothing pauses the function.
const NoBrake = "none"

// Target says which object an alert is about.
type Target string

// The targets.
const (
	// TargetLabels: the object that the alert's labels name.
	TargetLabels Target = "labels"
	// TargetOwner: that object's top-level controller.
	TargetOwner Target = "owner"
)

// Reply says what a settled event is answered with.
type Reply string

// The replies.
const (
	// ReplyNone: an empty body.
	ReplyNone Reply = "none"
	// ReplySummary: a CloudEvent that says what became of each alert. Behind
	// a Broker it would come back as an event.
	ReplySummary Reply = "summary"
)

// Switch turns something on or off.
type Switch string

// The switch's two positions.
const (
	On  Switch = "on"
	Off Switch = "off"
)
