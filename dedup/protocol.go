package dedup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"onefire/mapping"
)

// ErrContended means that other writers were first in every round. A redelivery can
// succeed.
var ErrContended = errors.New("other writers changed the object in every round")

// Deduplicator settles alerts on RemediationRequests. It is safe for concurrent use.
type Deduplicator struct {
	core
	*settleBatcher
	// ends batches the calls of Resolve.
	ends    *settleBatcher
	history *history
}

// core is the protocol.
type core struct {
	api        api
	lists      lister
	cache      cache
	signalType string
	backOff    func(ctx context.Context, losses int) error
	sleep      func(ctx context.Context, after time.Duration) error
	clock      func() time.Time
	// shorten is called with each past in which an object was just created.
	shorten func(ctx context.Context, namespace string, past []object, now time.Time)
	// activeOnly tells whether the List after a create leaves out so many ended objects.
	activeOnly func(namespace string, ended int) bool
	// brake is asked before creates; it may be nil.
	brake *brake
}

// Options configure a Deduplicator.
type Options struct {
	// SignalType is the spec.signalType of new objects.
	SignalType string
	// HistoryLimit is how many ended objects of a fingerprint are kept; 0 keeps all.
	HistoryLimit int
	// Deleted is called with each object that was deleted because of HistoryLimit; it may
	// be nil.
	Deleted func(namespace, name string)
	// LongPast is called with each List of a fingerprint that has more objects than a
	// List keeps; it may be nil.
	LongPast func(LongPast)
	// Altered is called with each new object that does not have the labels and
	// annotations that it was created with, because an admission policy or webhook
	// changes them. It may be nil.
	Altered func(namespace, name string, changed []string)
	// Brake is the name of the ConfigMap that stops creates while it exists. Without a
	// name there is no brake.
	Brake types.NamespacedName
	// BrakeUnread is called with each Get of the brake that failed; the last answer stays
	// valid. It may be nil.
	BrakeUnread func(error)

	brake *brake
}

// New makes a Deduplicator from a client configuration, which it copies. It opens no
// connection.
func New(config *rest.Config, o Options) (*Deduplicator, error) {
	k, err := connect(config)
	if err != nil {
		return nil, err
	}
	if o.LongPast != nil {
		k.onLongPast = o.LongPast
	}
	if o.Altered != nil {
		k.onAltered = o.Altered
	}
	if o.Brake.Name != "" {
		if o.brake, err = openBrake(config, o.Brake, o.BrakeUnread); err != nil {
			return nil, err
		}
		k.brake = o.brake
	}
	return newDeduplicator(k, o)
}

// Close ends the work in the background. No call may be running or follow.
func (d *Deduplicator) Close() {
	d.history.close()
	d.brake.close()
}

// Paused returns the brake if it is on, and nil otherwise. It asks the API server if the
// last answer is older than a second. If the context ends first, it returns the last
// answer.
func (d *Deduplicator) Paused(ctx context.Context) *Pause { return d.brake.pause(ctx) }

func newDeduplicator(a api, o Options) (*Deduplicator, error) {
	m, err := newCache()
	if err != nil {
		return nil, err
	}
	past := newHistory(a, o.HistoryLimit, o.Deleted)
	lists := newListBatcher(a)
	c := core{
		api: a, lists: lists, cache: m, signalType: o.SignalType,
		backOff: backOff, sleep: sleep, clock: time.Now, shorten: past.shorten, activeOnly: lists.activeOnly, brake: o.brake,
	}
	return &Deduplicator{core: c, settleBatcher: newSettleBatcher(c.settle), ends: newSettleBatcher(c.resolveAll), history: past}, nil
}

// Outcome is what became of one key.
type Outcome struct {
	Reason mapping.Reason
	// Name is the name of the RemediationRequest.
	Name string
	// Count is its occurrence count with this key.
	Count int32
	// UID is its UID; empty if nothing was counted.
	UID types.UID
	// At is when the key was counted, by the API server's clock, in whole seconds. It is
	// the same for each replay, and never earlier than that of a lower count. It is zero
	// if nothing was counted.
	At time.Time
	// Rejected is set if the key is on no RemediationRequest and never will be, unless
	// another alert makes one. All other fields are empty then.
	Rejected *RejectedError
	// Paused is set if the reason is [mapping.BrakeOn], and Capped if it is
	// [mapping.QuotaExceeded]. Such a key is on no RemediationRequest, and settling it
	// again tries again.
	Paused *Pause
	Capped *QuotaError
}

// Settle makes sure that each key is counted on a RemediationRequest of the signal's
// fingerprint, and creates one if none is active. It returns one outcome per key, in
// their order. There must be at least one key, and no key twice. signals holds the
// signals of those keys that are not an occurrence of s itself; they have the same
// fingerprint and namespace. After an error nothing is lost: another call with the same
// keys, in any replica, finishes the work. Concurrent calls for the same fingerprint
// share their API calls.
func (d *Deduplicator) Settle(ctx context.Context, s mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]Outcome, error) {
	return d.settleBatcher.Settle(ctx, s, keys, signals)
}

func (c core) handler(s mapping.Signal) handler {
	return handler{
		core: c, signal: s, subject: subject{s.Namespace, s.Fingerprint},
		done: map[string]Outcome{}, takenNames: map[string]bool{}, waitedFor: map[types.UID]bool{},
		rejected: map[string]*RejectedError{}, reasons: map[string]mapping.Reason{},
	}
}

// settle settles keys without sharing its calls.
func (c core) settle(ctx context.Context, s mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]Outcome, error) {
	h := c.handler(s)
	h.signals, h.keys = signals, keys
	var before []object // the past before this handler created an object
	for range maxRounds {
		open := h.open(keys)
		if len(open) == 0 {
			if h.created != "" {
				c.shorten(ctx, s.Namespace, before, h.now)
			}
			return h.outcomes(keys), nil
		}
		if err := h.readPast(ctx); err != nil {
			return nil, err
		}
		v := decide(s.Fingerprint, past{objects: h.objects, keys: open, created: h.created, takenNames: h.takenNames, waitedFor: h.waitedFor, now: h.now})
		if h.fromCache && v.reason != mapping.Active {
			h.discardCached() // Only a count on our active object is verified by its write.
			continue
		}
		if v.action == create {
			before = h.objects
		}
		if err := h.act(ctx, v, open); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("settling %s: %w (%d rounds)", s.Fingerprint, ErrContended, maxRounds)
}

// Ready tells whether the protocol could run now. It lists a fingerprint that no alert
// has. That List fails without a connection, the permission, the CRD or its selectable
// field.
func (c core) Ready(ctx context.Context, namespace string) error {
	// The brake is then known when the first event comes. The Get reuses the List's
	// connection.
	defer c.brake.begin(ctx)
	if _, _, err := c.api.list(ctx, namespace, selector{fingerprint: fmt.Sprintf("%064d", 0), urgent: true}); err != nil {
		return fmt.Errorf("listing %s in namespace %s: %w", Resource.Resource, namespace, err)
	}
	return nil
}

// backOff waits after a lost round. The wait and its jitter grow with the number of lost
// rounds, so that the writers of one object do not stay in step.
func backOff(ctx context.Context, losses int) error {
	return sleep(ctx, rand.N(min(maxBackOff, minBackOff<<min(losses, 10))))
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to try again: %w", ctx.Err())
	}
}
