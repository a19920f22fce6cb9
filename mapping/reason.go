package mapping

// Decision is what became of one alert.
type Decision string

// The decisions. New and duplicate are also the deduplication statuses of the
// audit contract.
const (
	New       Decision = "new"
	Duplicate Decision = "duplicate"
	// Resolved alerts mark the active RemediationRequest, if there is one.
	Resolved Decision = "resolved"
	// Filtered alerts are left out by configuration, or do not fire.
	Filtered Decision = "filtered"
	// Stale alerts come with an event that is too old, and make nothing new.
	Stale Decision = "stale"
	// Paused alerts would have made something new while the brake is on.
	Paused Decision = "paused"
	// Capped alerts would have made something new beyond a quota of the API server's.
	Capped Decision = "capped"
	// Invalid alerts can never become a RemediationRequest.
	Invalid Decision = "invalid"
	// Unsettled alerts wait for the event's redelivery.
	Unsettled Decision = "unsettled"
)

// Reason is why. The log says it; reply and audit say the decision it leads to,
// which is the same for a replay.
type Reason int

// The reasons.
const (
	// FirstSeen: there was no RemediationRequest of this fingerprint.
	FirstSeen Reason = iota + 1
	// Recurred: all earlier ones had reached a terminal phase.
	Recurred
	// Active: one of ours is not yet terminal.
	Active
	// ActiveForeign: one that somebody else made is not yet terminal.
	ActiveForeign
	// ManualReview: a terminal one asks for a person.
	ManualReview
	// BackOff: a terminal one has its nextAllowedExecution ahead.
	BackOff
	// ReplayedNew: the event had made a RemediationRequest before.
	ReplayedNew
	// ReplayedDuplicate: the event had been counted before.
	ReplayedDuplicate
	// ResolvedActive: it was the last alert of the active one that still fired,
	// which now says when that ended.
	ResolvedActive
	// ResolvedPartly: the active one knows that this alert ended, and counts others
	// that fire, or more than it knows.
	ResolvedPartly
	// ResolvedNothing: no active one counts the alert, or it knows as much already.
	ResolvedNothing
	// IgnoredAlertname and IgnoredSeverity: configuration leaves it out.
	IgnoredAlertname
	IgnoredSeverity
	// Unmatched: its labels do not fit the configured matchers.
	Unmatched
	// NotFiring: it is silenced, pending, or otherwise does not fire.
	NotFiring
	// Unmanaged: neither its target nor the target's namespace fits the configured
	// scope.
	Unmanaged
	// TooOld: its event is older than the configured limit, and was not counted before.
	TooOld
	// BrakeOn: somebody asked that nothing new be made.
	BrakeOn
	// QuotaExceeded: the namespace has as many objects as its quota allows.
	QuotaExceeded
	// Malformed: it is no alert, or has no alertname.
	Malformed
	// Rejected: the API server will never take it.
	Rejected
	// Unavailable: the API server or the sink did not do its part in time.
	Unavailable
)

var reasons = map[Reason]struct {
	name     string
	decision Decision
}{
	FirstSeen:         {"first_seen", New},
	Recurred:          {"recurred", New},
	Active:            {"active", Duplicate},
	ActiveForeign:     {"active_foreign", Duplicate},
	ManualReview:      {"manual_review", Duplicate},
	BackOff:           {"back_off", Duplicate},
	ReplayedNew:       {"replayed_new", New},
	ReplayedDuplicate: {"replayed_duplicate", Duplicate},
	ResolvedActive:    {"resolved_active", Resolved},
	ResolvedPartly:    {"resolved_partly", Resolved},
	ResolvedNothing:   {"resolved_nothing", Resolved},
	IgnoredAlertname:  {"ignored_alertname", Filtered},
	IgnoredSeverity:   {"ignored_severity", Filtered},
	Unmatched:         {"unmatched", Filtered},
	NotFiring:         {"not_firing", Filtered},
	Unmanaged:         {"unmanaged", Filtered},
	TooOld:            {"too_old", Stale},
	BrakeOn:           {"brake_on", Paused},
	QuotaExceeded:     {"quota_exceeded", Capped},
	Malformed:         {"malformed", Invalid},
	Rejected:          {"rejected", Invalid},
	Unavailable:       {"unavailable", Unsettled},
}

// String is the reason's name in snake case.
func (r Reason) String() string { return reasons[r].name }

// Decision is the decision that the reason leads to.
func (r Reason) Decision() Decision { return reasons[r].decision }
