package function

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/dedup"
	"onefire/function/kube"
	"onefire/mapping"
)

// incoming is one event: its alerts, and what they have in common.
type incoming struct {
	alerts []mapping.Alert
	// truncated is how many more alerts Alertmanager left out.
	truncated uint64

	source, id string
	// at is the event's time. undated tells that the event has no credible time, and that
	// at is when it was read.
	at      time.Time
	undated bool
	// sent is the event's [mapping.Sent], and now is when it was read.
	sent, now   time.Time
	traceparent string
}

// result is the outcome of one alert. It is open as long as it has no reason.
type result struct {
	alert  *mapping.Alert
	signal mapping.Signal
	// key identifies the occurrence.
	key    string
	reason mapping.Reason
	// old tells that the alert can make no new object, see [mapping.Rules.TooOld].
	old bool
	// owner tells how the signal's target was found; it is empty if the labels name the
	// target. ownerUnknown tells that the API server could not be asked.
	owner        kube.OwnerResult
	ownerUnknown bool
	// unread tells why the labels for SCOPE could not be read; it is empty if they were
	// read.
	unread kube.OwnerResult
	// name is the RemediationRequest's name, count its occurrence count with this alert,
	// uid its UID if the alert was counted, and at when. All are empty without a
	// RemediationRequest.
	name  string
	count int32
	uid   types.UID
	at    time.Time
	// err is why the alert is invalid, capped or not settled.
	err error
	// code is the audit contract's error code of an invalid or capped alert.
	code string
	// pause and capped are why no object was made; nil otherwise.
	pause  *dedup.Pause
	capped *dedup.QuotaError
}

// open tells that a later step must decide.
func (r *result) open() bool { return r.reason == 0 }

// unavailable notes that the alert is not settled, and that a redelivery may settle it.
func (r *result) unavailable(err error) { r.reason, r.err = mapping.Unavailable, err }

// group is the open results of one event with the same fingerprint and namespace.
type group struct {
	firing   []*result
	resolved []*result
	// old are alerts that fired when their event was sent, which is too long ago.
	old []*result
}

// all returns all results of the group.
func (g *group) all() []*result { return slices.Concat(g.firing, g.resolved, g.old) }

// apply notes the outcome of a key.
func (r *result) apply(o dedup.Outcome) {
	r.reason, r.name, r.count, r.uid, r.at = o.Reason, o.Name, o.Count, o.UID, o.At
}

// reject notes that no redelivery can settle an alert. A namespace that is missing or
// being deleted is a reason only if the alert chose it, because the alert's target is
// then gone too. An operator can restore the configured namespace.
func (r *result) reject(why *dedup.RejectedError, configured string) {
	r.reason, r.err, r.code = mapping.Rejected, why, why.Code
	if why.OfNamespace() && r.signal.Namespace == configured {
		r.reason, r.code = mapping.Unavailable, ""
	}
}
