package dedup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// errChanged means that an object has not the fingerprint that its name begins with.
var errChanged = errors.New("its spec.signalFingerprint is not the one that it was created with: " +
	"exempt Onefire from the admission policy or webhook that changes it")

// handler is the state of one Settle or Resolve.
type handler struct {
	core
	signal  mapping.Signal
	signals map[string]mapping.Signal // of keys that are another alert's
	keys    []string                  // to settle
	subject subject
	// objects are what the next decision sees; nil asks for a new List.
	objects []object
	// now is the API server's clock at the last List, so that the clocks of
	// replicas change no decision.
	now time.Time
	// looked is set once there was a past, hinted while it comes from memory, and
	// unread while nobody has looked whether it still is so.
	triedCache, fromCache, unverified bool
	// memo says when and by which clock the last List was made.
	entry cacheEntry
	// ended is how many ended objects the last List of the whole past had.
	ended int
	// fresh is the UID of the object that this handler made, and maker the key that it
	// made it for.
	created    types.UID
	createdFor string
	// held are the names that other fingerprints hold.
	takenNames map[string]bool
	// refused is the name that was refused last.
	refused string
	// sure are the objects that it has waited for: nothing older than those can
	// appear, whatever the clocks say.
	waitedFor map[types.UID]bool
	// losses counts the rounds that other writers won; lost is set when they
	// won the last one.
	losses    int
	lostRound bool
	// done are the keys that are on record, by what this handler saw or wrote.
	done map[string]Outcome
	// rejected are the keys of alerts that no object can be made of.
	rejected map[string]*RejectedError
	// capped is set once a quota allowed no object.
	capped *QuotaError
	// reasons are why keys went into objects that this handler made.
	reasons map[string]mapping.Reason
}

// look makes sure that there is a past to decide on. After a create it does not
// give up at once: if this was a redelivery, and the first delivery is settled
// by now, nobody else may come to look for a twin.
func (h *handler) readPast(ctx context.Context) error {
	if h.lostRound {
		h.lostRound = false
		h.losses++
		if err := h.backOff(ctx, h.losses); err != nil {
			return err
		}
	}
	if h.objects != nil {
		return nil
	}
	if h.loadCached(ctx) {
		return nil
	}
	objects, now, err := h.list(ctx)
	for tries := 1; err != nil && h.created != "" && tries < maxReads; tries++ {
		if pause := h.backOff(ctx, tries); pause != nil {
			break
		}
		objects, now, err = h.list(ctx)
	}
	if err != nil {
		return fmt.Errorf("listing the RemediationRequests of %s: %w", h.signal.Fingerprint, err)
	}
	h.objects, h.now = slices.Clip(objects), now
	if objects == nil {
		h.objects = []object{}
	}
	return nil
}

// list makes a List, together with others where that is possible. After a lost
// round it asks for the fingerprint alone: what was missed may have no label that
// a common List could find it by.
func (h *handler) list(ctx context.Context) (objects []object, now time.Time, err error) {
	listed := h.clock()
	if len(h.keys) > 0 && h.created == "" {
		h.brake.begin(ctx) // A create may follow.
	}
	if h.created != "" && len(h.keys) == 1 && h.activeOnly(h.signal.Namespace, h.ended) {
		objects, now, err = h.listActive(ctx)
		if err != nil || objects != nil {
			return objects, now, err
		}
	}
	if h.losses > 0 {
		objects, now, err = h.api.list(ctx, h.signal.Namespace, selector{fingerprint: h.signal.Fingerprint, keys: h.keys})
	} else {
		objects, now, err = h.lists.list(ctx, h.signal.Namespace, h.signal.Fingerprint, h.keys)
	}
	h.entry = cacheEntry{listedAt: listed, clockSkew: now.Sub(h.clock())}
	_, terminal := split(objects)
	h.ended = len(terminal)
	return objects, now, err
}

// rivals looks after a create for the active objects alone: the past has been
// read before, and a twin is active. While the handler's own object is
// among them, its key is on record there, whatever ended ones say; a settlement of
// more keys must know those. Otherwise rivals returns nothing: all must be read.
func (h *handler) listActive(ctx context.Context) ([]object, time.Time, error) {
	objects, now, err := h.api.list(ctx, h.signal.Namespace, selector{fingerprint: h.signal.Fingerprint, active: true, keys: h.keys})
	own := func(o object) bool { return o.uid == h.created && !o.terminal() }
	if err != nil || !slices.ContainsFunc(objects, own) {
		return nil, now, err
	}
	h.entry = cacheEntry{} // It is not the whole past.
	return objects, now, nil
}

// act makes the one change that a verdict asks for. Unless that settled all
// open keys, the next round looks again.
func (h *handler) act(ctx context.Context, v verdict, open []string) error {
	switch v.action {
	case merge:
		return h.merge(ctx, v)
	case wait:
		h.objects, h.waitedFor[v.object.uid] = nil, true
		return h.sleep(ctx, min(lateAge, v.object.createdAt.Add(lateAge).Sub(h.now)))
	}
	for _, key := range open {
		if o, m, ok := recorded(h.objects, key); ok {
			h.done[key] = outcome(h.reason(key, o, m.count), o, m)
		}
	}
	switch v.action {
	case count:
		return h.count(ctx, v)
	case create:
		return h.create(ctx, v)
	default:
		return nil
	}
}

func outcome(reason mapping.Reason, o object, m recordEntry) Outcome {
	return Outcome{Reason: reason, Name: o.name, UID: o.uid, Count: m.count, At: m.time()}
}

// reason is why a key is on record with that count. Name and count are the same
// for the first try and for a replay; the reason tells the two apart.
func (h *handler) reason(key string, o object, made int32) mapping.Reason {
	reason, own := h.reasons[key]
	switch {
	case own && made == 1:
		return reason
	case own && o.ours:
		return mapping.Active
	case own:
		return mapping.ActiveForeign
	default:
		return replayReason(made)
	}
}

// of is the signal that a key is an occurrence of.
func (h *handler) signalFor(key string) mapping.Signal {
	if s, ok := h.signals[key]; ok {
		return s
	}
	return h.signal
}

// count adds the missing keys to an object. Its patch needs no second look: it
// made nothing that another handler could not see.
func (h *handler) count(ctx context.Context, v verdict) error {
	said := make([]statement, len(v.missing))
	for i, key := range v.missing {
		said[i] = statementOf(h.signalFor(key))
	}
	object, missing, own := v.object, v.missing, false
	if object.uid == h.created && slices.Contains(missing, h.createdFor) {
		// Somebody took the key off the object: it made it, and counts nothing more.
		own, object.events = true, maps.Clone(object.events)
		object.events[h.createdFor] = entryAt(1, object.createdAt)
		missing = slices.DeleteFunc(slices.Clone(missing), func(key string) bool { return key == h.createdFor })
	}
	made, changed := object.withKeys(missing, said, h.now)
	past := h.objects
	revision, ok, err := h.patch(ctx, v.object, patchTo(v.object, changed))
	if err != nil || !ok {
		return err
	}
	changed.resourceVersion = revision
	h.cachePast(past, changed)
	for key, m := range made {
		h.done[key] = outcome(v.reason, v.object, m)
	}
	if own {
		h.done[h.createdFor] = outcome(h.reasons[h.createdFor], v.object, object.events[h.createdFor])
	}
	return nil
}

// heal makes one of two active objects: first the twin's record goes to the
// survivor, then the twin goes, unless it has changed since it was read.
func (h *handler) merge(ctx context.Context, v verdict) error {
	if patch := patchTo(v.object, v.object.withDuplicate(v.duplicate, h.created)); patch != nil {
		if _, ok, err := h.patch(ctx, v.object, patch); err != nil || !ok {
			return err
		}
	}
	h.objects = nil
	err := h.api.delete(ctx, h.signal.Namespace, v.duplicate.name, v.duplicate.uid, v.duplicate.resourceVersion)
	if h.lostRound = lost(err); h.lostRound || err == nil {
		return nil
	}
	return fmt.Errorf("deleting the twin %s/%s: %w", h.signal.Namespace, v.duplicate.name, err)
}

// patch applies a conditional patch and tells whether it was accepted, and what
// the revision is now. When the object has changed or is gone it was not, and
// that is no error.
func (h *handler) patch(ctx context.Context, o object, patch map[string]any) (revision string, ok bool, err error) {
	h.objects = nil
	revision, err = h.api.patchStatus(ctx, h.signal.Namespace, o.name, patch)
	if h.fromCache && h.unverified && (err == nil || lost(err)) {
		h.cache.observe(err == nil)
	}
	switch {
	case err == nil:
		return revision, true, nil
	case lost(err):
		// Where the past came from memory, nobody else was quicker: it was old.
		h.lostRound = !h.fromCache || !h.unverified
		return "", false, nil
	}
	return "", false, fmt.Errorf("patching the status of RemediationRequest %s/%s: %w", h.signal.Namespace, o.name, err)
}

// lost tells that another writer was first.
func lost(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) }

// open are the keys that no patch of this handler has counted.
func (h *handler) open(keys []string) []string {
	var open []string
	for _, key := range keys {
		if _, ok := h.done[key]; !ok {
			open = append(open, key)
		}
	}
	return open
}

func (h *handler) outcomes(keys []string) []Outcome {
	all := make([]Outcome, len(keys))
	for i, key := range keys {
		all[i] = h.done[key]
	}
	return all
}
