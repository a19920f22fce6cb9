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
	// fingerprintLabel holds the start of the fingerprint, by which one List can
	// ask for several. The whole of it is in the spec, which decides.
	fingerprintLabel = "onefire/fingerprint"
	// eventAnnotation holds the key of the event that made the object. It is
	// part of the creating write, which no status can be.
	eventAnnotation = "onefire/event"
	// timeAnnotation holds that event's time, which no clock of the API server's
	// can stand in for: see state.go.
	timeAnnotation = "onefire/event-time"
	// followsAnnotation holds the UID of the object that came before, if any did.
	followsAnnotation = "onefire/follows"
	// manualReview is the outcome that asks for a person.
	manualReview = "ManualReviewRequired"
)

// phaseTimedOut is the one terminal phase with a time of its own.
const phaseTimedOut = "TimedOut"

// terminalPhases let a new object be made. Any other phase, an empty or an
// unknown one too, is active.
var terminalPhases = map[string]bool{
	"Completed": true, "Failed": true, phaseTimedOut: true, "Skipped": true, "Cancelled": true,
}

// TerminalPhases returns the values of status.overallPhase that end a
// RemediationRequest, sorted. The CRD, the alert rules, the dashboard and the
// documents name the same ones: knative/verify holds them to it.
func TerminalPhases() []string { return slices.Sorted(maps.Keys(terminalPhases)) }

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
	// follows is the UID of the last object of the past that this one was made on.
	follows types.UID
	// maker is the key that made the object. It stands in an annotation.
	createdFor string
	// events maps each key on record to what it did: the count 1 is that of a key
	// that made an object, and of nothing else.
	events map[string]recordEntry
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
	old, displayStale bool
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

// byAge orders objects from the oldest to the newest, the same for everyone.
// Creation times have whole seconds: of one second, those that were late come last,
// and names break what ties are left.
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

// late tells that an object was made in another span of time than its name says.
// Two handlers that look at the same past and make different names do so in
// different spans, so in the second in which both create, one at least is late.
func (o object) late() bool {
	return o.name != name(o.fingerprint, o.follows, o.createdAt, 0)
}

// unsure tells that an older object can still appear: one of this object's second
// that no List has shown yet. Nobody may be told of this one so early.
func (o object) tooYoung(now time.Time) bool {
	return o.ours && now.Before(o.createdAt.Add(lateAge)) && o.late()
}

// Key identifies one occurrence of an alert: the CloudEvent's source and id,
// the alert's identity within it, and its start as the sender wrote it, because
// some senders can only send one constant id. It is 16 hex digits.
func Key(source, id, alert, startsAt string) string {
	return digest(fmt.Sprintf("%q %q %q %q", source, id, alert, startsAt))[:16]
}

// label is the value of [fingerprintLabel]: enough to tell fingerprints apart
// nearly always, and short where a List asks for hundreds.
func label(fingerprint string) string { return fingerprint[:min(12, len(fingerprint))] }

// name is the name of the object that follows a predecessor, a UID or empty, and is
// made on a past that was listed at a time. The span of that time is part of it, so
// that a name never comes again when its object was deleted: others may still know
// what belonged to that one. salt is zero unless another fingerprint holds the name.
//
// All who see the same past in the same span choose the same name. Two who see it
// in different spans can make twins, which their look afterwards heals.
func name(fingerprint string, predecessor types.UID, listed time.Time, salt int) string {
	text := fmt.Sprintf("%s:%s:%d", fingerprint, predecessor, listed.Truncate(nameSpan).Unix())
	if salt > 0 {
		text = fmt.Sprintf("%s:%d", text, salt)
	}
	return "rr-" + label(fingerprint) + "-" + digest(text)[:8]
}

// last finds the last object of a past in which all is terminal; empty where there
// is none. The newest by creation time is not always the last one made, because
// creation times have whole seconds; so the walk goes on to what followed it.
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

// nameAfter is the name of the object to follow a past: the first that no other
// fingerprint is known to hold.
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
