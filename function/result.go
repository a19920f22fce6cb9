package function

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/dedup"
	"onefire/function/kube"
	"onefire/mapping"
)

// incoming is what one event brings: its alerts, and what they have in common.
type incoming struct {
	alerts []mapping.Alert
	// truncated is how many more Alertmanager left out.
	truncated uint64

	source, id string
	// at is the event's time; undated tells that it has none to believe, and that
	// this is when it was read.
	at      time.Time
	undated bool
	// sent is the event's [mapping.Sent], and now when it was read.
	sent, now   time.Time
	traceparent string
}

// result is what became of one alert. It is open while it has no reason.
type result struct {
	alert  *mapping.Alert
	signal mapping.Signal
	// key tells the occurrence from all others.
	key    string
	reason mapping.Reason
	// old tells that the alert makes nothing new: see [mapping.Rules.TooOld].
	old bool
	// owner says how the signal's target was found; empty where its labels name it.
	// ownerUnknown tells that it could not be asked for.
	owner        kube.OwnerResult
	ownerUnknown bool
	// unread says why the labels that SCOPE asks for could not be read; empty where
	// they were.
	unread kube.OwnerResult
	// name is the RemediationRequest's, count its occurrence count with this
	// alert, uid its UID where it was counted, at when that was; all empty where
	// there is none.
	name  string
	count int32
	uid   types.UID
	at    time.Time
	// err says why the alert is invalid, capped or not settled.
	err error
	// code is the audit contract's error code of an invalid or capped alert.
	code string
	// pause and capped say why nothing was made; nil otherwise.
	pause  *dedup.Pause
	capped *dedup.QuotaError
}

// open tells that a later step has to decide.
func (r *result) open() bool { return r.reason == 0 }

// unavailable notes that the alert is not settled, and that a redelivery may settle it.
func (r *result) unavailable(err error) { r.reason, r.err = mapping.Unavailable, err }

// group is the open results of one event that share a fingerprint and a namespace.
type group struct {
	firing   []*result
	resolved []*result
	// old ones fired when their event was sent, which is too long ago.
	old []*result
}

// all are the results of the group.
func (g *group) all() []*result { return slices.Concat(g.firing, g.resolved, g.old) }

// take notes what a key came to.
func (r *result) take(o dedup.Outcome) {
	r.reason, r.name, r.count, r.uid, r.at = o.Reason, o.Name, o.Count, o.UID, o.At
}

// reject notes that no redelivery can settle an alert. A namespace that is missing, or
// goes, is the alert's own only where the alert chose it: its target goes too then. An
// operator can bring back the configured one.
func (r *result) reject(why *dedup.RejectedError, configured string) {
	r.reason, r.err, r.code = mapping.Rejected, why, why.Code
	if why.OfNamespace() && r.signal.Namespace == configured {
		r.reason, r.code = mapping.Unavailable, ""
	}
}
