package dedup

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

const (
	managedByLabel = "app.kubernetes.io/managed-by"
	componentLabel = "app.kubernetes.io/component"
	managedBy      = "onefire"
	// ownPrefix begins the names of our labels and annotations.
	ownPrefix = "onefire/"
	// fingerprintLabel holds the start of the fingerprint, by which one List can
	// ask for several. The whole of it is in the spec, which decides.
	fingerprintLabel = "onefire/fingerprint"
	// eventAnnotation holds the key of the event that made the object. It is
	// part of the creating write, which no status can be.
	eventAnnotation = "onefire/event"
	// timeAnnotation holds that event's time, which no clock of the API server's
	// can stand in for: see state.go.
	timeAnnotation = "onefire/event-time"
	// manualReview is the outcome that asks for a person.
	manualReview = "ManualReviewRequired"
)

// terminalPhases let a new object be made. Any other phase, an empty or an
// unknown one too, is active.
var terminalPhases = map[string]bool{
	"Completed": true, "Failed": true, "TimedOut": true, "Skipped": true, "Cancelled": true,
}

// object is what the protocol reads of a RemediationRequest.
type object struct {
	name            string
	uid             types.UID
	resourceVersion string
	fingerprint     string
	createdAt       time.Time
	// ours is false for an object that somebody else made.
	ours     bool
	deleting bool
	phase    string
	// manualReview and nextAllowed are a terminal object's wish for quiet.
	manualReview bool
	nextAllowed  time.Time
	count        int32
	firstSeen    time.Time
	lastSeen     time.Time
	// maker is the key that made the object. It stands in an annotation.
	maker string
	// events maps each key on record to what it did: the count 1 is that of a key
	// that made an object, and of nothing else.
	events map[string]mark
	// absorbed maps the UID of a twin to the count that was taken over from it.
	absorbed map[string]int32
	// alert is the one that the object was made of. Its identity is in labels, the
	// JSON of the spec's, and [object.self] tells it. firing is when it was first
	// said to fire.
	alert  alert
	labels string
	firing time.Time
	folds
	// foreign are the conditions of others, as JSON.
	foreign []rawText
	// old tells that some of the record is in the form of an earlier version, and
	// hidden that people see another one in status.deduplication.
	old, hidden bool
	// partial tells that the past it is of is not here whole: see keeper.
	partial bool
}

// terminal tells whether a new object may follow this one.
func (o object) terminal() bool { return o.deleting || terminalPhases[o.phase] }

// quiet tells whether a terminal object asks that no other follows yet.
func (o object) quiet(now time.Time) (mapping.Reason, bool) {
	switch {
	case o.deleting:
		return 0, false
	case o.manualReview:
		return mapping.ManualReview, true
	case o.nextAllowed.After(now):
		return mapping.BackOff, true
	}
	return 0, false
}

// byAge orders objects from the oldest to the newest, the same for everyone:
// creation times have whole seconds, so names break the ties.
func byAge(a, b object) int {
	return cmp.Or(a.createdAt.Compare(b.createdAt), cmp.Compare(a.name, b.name))
}

// Key identifies one occurrence of an alert: the CloudEvent's source and id,
// the alert's identity within it, and its start as the sender wrote it, because
// some senders can only send one constant id. It is 16 hex digits.
func Key(source, id, alert, startsAt string) string {
	return digest(fmt.Sprintf("%q %q %q %q", source, id, alert, startsAt))[:16]
}

// label is the value of [fingerprintLabel]: enough to tell fingerprints apart
// nearly always, and short where a List asks for hundreds.
func label(fingerprint string) string { return fingerprint[:12] }

// name is the name of the object that follows the predecessor, a UID or empty.
// salt is zero unless another fingerprint holds the name already.
func name(fingerprint string, predecessor types.UID, salt int) string {
	text := fingerprint + ":" + string(predecessor)
	if salt > 0 {
		text = fmt.Sprintf("%s:%d", text, salt)
	}
	return "rr-" + label(fingerprint) + "-" + digest(text)[:8]
}

// follow finds the last object of a past in which all is terminal, and the name
// of the one to follow it: the first that no other fingerprint is known to hold.
// The newest by creation time is not always the last one made, because creation
// times have whole seconds; so the walk goes on while the next name is in that
// past.
func follow(past []object, fingerprint string, held map[string]bool) (last object, next string) {
	byName := make(map[string]object, len(past))
	for _, o := range past {
		byName[o.name] = o
	}
	if len(past) > 0 {
		last = slices.MaxFunc(past, byAge)
	}
	for {
		next = name(fingerprint, last.uid, 0)
		for salt := 1; held[next]; salt++ {
			next = name(fingerprint, last.uid, salt)
		}
		o, taken := byName[next]
		if !taken {
			return last, next
		}
		last = o
		delete(byName, next)
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
