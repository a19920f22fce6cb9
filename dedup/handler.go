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

// errChanged means that an object does not have the fingerprint that it was created with.
var errChanged = errors.New("spec.signalFingerprint has changed since it was created: " +
	"exempt Onefire from the admission policy or webhook that changes it")

// handler is the state of one Settle or Resolve.
type handler struct {
	core
	signal  mapping.Signal
	signals map[string]mapping.Signal // of keys whose alert is not that of signal
	keys    []string                  // to settle
	subject subject
	// objects is the past that the next decision sees; nil means that it must be read
	// first.
	objects []object
	// now is the API server's clock at the last List. Decisions use it, so the clocks of
	// the replicas do not matter.
	now time.Time
	// triedCache is set once the past was read for the first time. fromCache is set while
	// the past comes from the cache, and unverified while it was not compared with the
	// API server yet.
	triedCache, fromCache, unverified bool
	// entry has the time and the clock skew of the last List.
	entry cacheEntry
	// ended is how many ended objects the last List of the whole past had.
	ended int
	// created is the UID of the object that this handler created, and createdFor the key
	// that it was created for.
	created    types.UID
	createdFor string
	// takenNames are names that belong to another fingerprint.
	takenNames map[string]bool
	// refused is the name that the API server refused last with AlreadyExists.
	refused string
	// waitedFor are the objects that this handler has waited for: no older object can
	// appear any more, whatever the clocks say.
	waitedFor map[types.UID]bool
	// losses counts the rounds in which another writer was first; lostRound is set if the
	// last round was one.
	losses    int
	lostRound bool
	// done has the outcomes of the keys that are on record, as this handler read or wrote
	// it.
	done map[string]Outcome
	// rejected has the keys whose alert the API server will never accept.
	rejected map[string]*RejectedError
	// capped is set once a quota refused a create.
	capped *QuotaError
	// reasons has the reason of each key that this handler created an object for.
	reasons map[string]mapping.Reason
}

// readPast makes sure that there is a past to decide on. After a create it tries a failed
// List again. If this delivery is a redelivery, and the first delivery has been settled
// meanwhile, no other handler may come to find a duplicate.
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

// list makes a List, batched with others if possible. After a lost round it lists the
// fingerprint alone: another program may have removed the label of the object that was
// missed, and a batched List selects by label.
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

// listActive lists only the active objects after a create: the past was read before, and
// a duplicate is active. The result is enough while the handler's own object is among
// them, because the handler's key is on record there. A settlement of several keys must
// know the ended objects too. listActive returns nil if the whole past must be read.
func (h *handler) listActive(ctx context.Context) ([]object, time.Time, error) {
	objects, now, err := h.api.list(ctx, h.signal.Namespace, selector{fingerprint: h.signal.Fingerprint, active: true, keys: h.keys})
	own := func(o object) bool { return o.uid == h.created && !o.terminal() }
	if err != nil || !slices.ContainsFunc(objects, own) {
		return nil, now, err
	}
	h.entry = cacheEntry{} // It is not the whole past.
	return objects, now, nil
}

// act makes the one change that a verdict asks for. The next round reads the past again,
// unless all keys are settled now.
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

// reason is why a key is on record with that count. A first attempt and a replay have the
// same name and count, and differ only in the reason.
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

// signalFor returns the signal whose occurrence a key is.
func (h *handler) signalFor(key string) mapping.Signal {
	if s, ok := h.signals[key]; ok {
		return s
	}
	return h.signal
}

// count adds the missing keys to an object. Unlike a create, it needs no second List: it
// makes no object that another handler might have missed.
func (h *handler) count(ctx context.Context, v verdict) error {
	said := make([]statement, len(v.missing))
	for i, key := range v.missing {
		said[i] = statementOf(h.signalFor(key))
	}
	object, missing, own := v.object, v.missing, false
	if object.uid == h.created && slices.Contains(missing, h.createdFor) {
		// Another program removed the annotation with the key that the object was created
		// for. That key is already in the object's count of 1, so it is put back and not
		// counted.
		own, object.events = true, maps.Clone(object.events)
		object.events[h.createdFor] = entryAt(1, object.createdAt)
		missing = slices.DeleteFunc(slices.Clone(missing), func(key string) bool { return key == h.createdFor })
	}
	made, changed := object.withKeys(missing, said, h.now)
	past := h.objects
	revision, ok, err := h.patch(ctx, v.object, patchTo(v.object, changed))
	if !ok {
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

// merge leaves one of two active objects. It first adds the duplicate's record to the
// survivor, and then deletes the duplicate, unless that has changed since it was read.
func (h *handler) merge(ctx context.Context, v verdict) error {
	if patch := patchTo(v.object, v.object.withDuplicate(v.duplicate, h.created)); patch != nil {
		if _, ok, err := h.patch(ctx, v.object, patch); !ok {
			return err
		}
	}
	h.objects = nil
	err := h.api.delete(ctx, h.signal.Namespace, v.duplicate.name, v.duplicate.uid, v.duplicate.resourceVersion)
	if h.lostRound = lost(err); h.lostRound || err == nil {
		return nil
	}
	return fmt.Errorf("deleting the duplicate %s/%s: %w", h.signal.Namespace, v.duplicate.name, err)
}

// patch applies a conditional patch. It returns the new resourceVersion, and whether the
// patch was accepted. A patch that was refused because the object has changed or is gone
// is not an error.
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
		// If the past came from the cache, it was outdated, and no other writer was
		// faster.
		h.lostRound = !h.fromCache || !h.unverified
		return "", false, nil
	}
	return "", false, fmt.Errorf("patching the status of RemediationRequest %s/%s: %w", h.signal.Namespace, o.name, err)
}

// lost tells whether a write failed because another writer was first.
func lost(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) }

// open returns the keys that are not settled yet.
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
