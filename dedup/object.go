package dedup

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
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
	// fingerprintLabel holds the beginning of the fingerprint, so that one List can
	// select several fingerprints. The full fingerprint in the spec decides.
	fingerprintLabel = "onefire/fingerprint"
	// eventAnnotation holds the key that the object was created for. An annotation can be
	// part of the create; status cannot.
	eventAnnotation = "onefire/event"
	// timeAnnotation holds the time of that key's event. The API server's clock cannot
	// replace it, see state.go.
	timeAnnotation = "onefire/event-time"
	// followsAnnotation holds the UID of the object's predecessor, if there was one.
	followsAnnotation = "onefire/follows"
	// manualReview is the outcome that asks for a review by a person.
	manualReview = "ManualReviewRequired"
)

// phaseTimedOut is the only terminal phase that has its own time field.
const phaseTimedOut = "TimedOut"

// terminalPhases are the phases after which a new object may be created. Any other phase,
// also an empty or unknown one, is active.
var terminalPhases = map[string]bool{
	"Completed": true, "Failed": true, phaseTimedOut: true, "Skipped": true, "Cancelled": true,
}

// TerminalPhases returns the values of status.overallPhase that end a RemediationRequest,
// sorted. The CRD, the alert rules, the dashboard and the documents name the same ones; a
// test in knative/verify compares them.
func TerminalPhases() []string { return slices.Sorted(maps.Keys(terminalPhases)) }

// object is what the protocol reads of a RemediationRequest.
type object struct {
	name            string
	uid             types.UID
	resourceVersion string
	fingerprint     string
	createdAt       time.Time
	// ours is false for an object of another program.
	ours     bool
	deleting bool
	phase    string
	// manualReview and nextAllowed say whether a terminal object asks for quiet.
	manualReview bool
	nextAllowed  time.Time
	count        int32
	firstSeen    time.Time
	lastSeen     time.Time
	// follows is the UID of the predecessor, the last object of the past in which this
	// one was created.
	follows types.UID
	// createdFor is the key that the object was created for. It is in an annotation.
	createdFor string
	// events has the entry of each key on record. Only the key that the object was
	// created for has count 1.
	events map[string]recordEntry
	// absorbed maps the UID of a merged duplicate to the count that was taken over from
	// it.
	absorbed map[string]int32
	// alert is the alert that made the object. Its id follows from labels, the JSON of
	// the spec's labels, see [object.ownAlert]. firing is when an event first said that
	// this alert fires.
	alert  alert
	labels string
	firing time.Time
	folds
	// foreign are the conditions of other programs, as JSON.
	foreign []rawText
	// old tells that part of the record has the form of an earlier version. displayStale
	// tells that status.deduplication shows something else than the record.
	old, displayStale bool
	// partial tells that the object belongs to a past that was reduced, see
	// [pastReducer].
	partial bool
}

// terminal tells whether a new object may follow this one.
func (o object) terminal() bool { return o.deleting || terminalPhases[o.phase] }

// quiet tells whether a terminal object asks that no other object follows yet, and why.
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

// byAge orders objects from the oldest to the newest, the same for every handler.
// Creation times have a resolution of one second: within a second, late objects come
// last, and names order the rest.
func byAge(a, b object) int {
	if order := a.createdAt.Compare(b.createdAt); order != 0 {
		return order
	}
	if a.late() != b.late() {
		if a.late() {
			return 1
		}
		return -1
	}
	return cmp.Compare(a.name, b.name)
}

// late tells that an object was created in another span of ten seconds than its name
// says. Two handlers that see the same past but choose different names list in different
// spans. So if both create an object within the same second, at least one of the two is
// late.
func (o object) late() bool {
	return o.name != name(o.fingerprint, o.follows, o.createdAt, 0)
}

// tooYoung tells that an older object can still appear: one that was created in the same
// second and that no List has shown yet. A handler must not answer for this object before
// that is excluded.
func (o object) tooYoung(now time.Time) bool {
	return o.ours && now.Before(o.createdAt.Add(lateAge)) && o.late()
}

// Key identifies one occurrence of an alert: by the CloudEvent's source and id, the
// alert's identity, and its start as the sender wrote it, because some senders only use
// one constant id. A key has 16 hex digits.
func Key(source, id, alert, startsAt string) string {
	return digest(fmt.Sprintf("%q %q %q %q", source, id, alert, startsAt))[:16]
}

// label is the value of [fingerprintLabel]. It is long enough to tell almost all
// fingerprints apart, and short because a List can ask for hundreds.
func label(fingerprint string) string { return fingerprint[:min(12, len(fingerprint))] }

// name is the name of the object that follows a predecessor, a UID or empty, in a past
// that was listed at the given time. The name depends on the span of ten seconds that
// contains that time, so it is not used again after its object was deleted, when other
// programs may still know it. salt is zero unless another fingerprint has the name.
//
// Handlers that see the same past in the same span choose the same name. Handlers in
// different spans can create duplicates, which the List after a create finds.
func name(fingerprint string, predecessor types.UID, listed time.Time, salt int) string {
	text := fmt.Sprintf("%s:%s:%d", fingerprint, predecessor, listed.Truncate(nameSpan).Unix())
	if salt > 0 {
		text = fmt.Sprintf("%s:%d", text, salt)
	}
	return "rr-" + label(fingerprint) + "-" + digest(text)[:8]
}

// last finds the last object of a past in which all objects are terminal; it is empty if
// there is none. Creation times have a resolution of one second, so the newest object is
// not always the one that was created last. last therefore goes on from the newest to the
// objects that follow it.
func last(past []object) (last object) {
	if len(past) == 0 {
		return object{}
	}
	after := map[types.UID]object{}
	for _, o := range past {
		if other, ok := after[o.follows]; o.follows != "" && (!ok || byAge(o, other) > 0) {
			after[o.follows] = o
		}
	}
	last = slices.MaxFunc(past, byAge)
	for {
		next, ok := after[last.uid]
		if !ok {
			return last
		}
		delete(after, last.uid)
		last = next
	}
}

// nameAfter is the name of the object that follows a past: the first that no other
// fingerprint is known to have.
func nameAfter(last object, fingerprint string, listed time.Time, held map[string]bool) string {
	next := name(fingerprint, last.uid, listed, 0)
	for salt := 1; held[next]; salt++ {
		next = name(fingerprint, last.uid, listed, salt)
	}
	return next
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
