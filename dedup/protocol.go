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

// ErrContended means that other writers won every round. A redelivery can win.
var ErrContended = errors.New("other writers changed the object in every round")

// Deduplicator settles alerts on RemediationRequests. What it remembers is only
// to save calls. It may be used by any number of goroutines.
type Deduplicator struct {
	core
	*settleBatcher
	// ends shares the calls of Resolve.
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
	// shorten is told of each past that an object was just made on.
	shorten func(ctx context.Context, namespace string, past []object, now time.Time)
	// apart says whether a look after a create leaves out so many ended objects.
	activeOnly func(namespace string, ended int) bool
	// brake is what creates ask; it may be nil.
	brake *brake
}

// Options are what a Deduplicator does.
type Options struct {
	// SignalType goes into the objects that it makes.
	SignalType string
	// HistoryLimit is how many ended objects of a fingerprint are kept when another
	// one was made; 0 keeps all.
	HistoryLimit int
	// Deleted is told of each object that was deleted because of the limit; it may
	// be nil.
	Deleted func(namespace, name string)
	// LongPast is called with each List of a fingerprint that has more objects than
	// are kept of it; it may be nil.
	LongPast func(LongPast)
	// Altered is called with each object that was created, and has not the labels and
	// annotations that it was created with: an admission policy or webhook changes
	// them. It may be nil.
	Altered func(namespace, name string, changed []string)
	// Brake is the ConfigMap that pauses the making of objects while it exists; without a
	// name there is none.
	Brake types.NamespacedName
	// BrakeUnread is called with each Get of the brake that failed: what was known before
	// holds. It may be nil.
	BrakeUnread func(error)

	brake *brake
}

// New makes a Deduplicator of a client configuration, which it copies. It opens
// no connection.
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

// Close ends what goes on behind the calls. Call it when none is under way any more.
func (d *Deduplicator) Close() {
	d.history.close()
	d.brake.close()
}

// Paused returns why nothing new is made; nil where it is. It asks the API server where
// that was not done within the last second, and when the context ends first it says what
// was known.
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
	// Name is the RemediationRequest's name.
	Name string
	// Count is its occurrence count with this key.
	Count int32
	// UID is its UID; empty where nothing was counted.
	UID types.UID
	// At is when the key was counted, by the API server's clock, in whole seconds:
	// the same for each replay, and never earlier than that of a lower count.
	// Zero where nothing was counted.
	At time.Time
	// Rejected says why the key is on no RemediationRequest and never will be, unless
	// another alert makes one; nil otherwise. The outcome has nothing else then.
	Rejected *RejectedError
	// Paused says why nothing was made, where the reason is [mapping.BrakeOn], and Capped
	// where it is [mapping.QuotaExceeded]; nil otherwise. Such a key is on no
	// RemediationRequest, and settling it again tries again.
	Paused *Pause
	Capped *QuotaError
}

// Settle makes sure that each key is counted on a RemediationRequest of the
// signal's fingerprint, and makes one if none is active. It returns one outcome
// per key, in their order. keys are distinct and at least one; signals holds the
// signals, of the same fingerprint and namespace, of those that are not an
// occurrence of s itself. When it returns
// an error nothing is lost: calling again with the same keys, here or elsewhere,
// finishes the work. Calls for the same fingerprint that wait for each other share
// their API calls.
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

// settle settles keys by themselves.
func (c core) settle(ctx context.Context, s mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]Outcome, error) {
	h := c.handler(s)
	h.signals, h.keys = signals, keys
	var before []object // what there was before this handler made an object
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

// Ready tells whether the protocol could run now: it asks for the objects of a
// fingerprint that no alert has, which fails without a connection, permission,
// the CRD or its selectable field.
func (c core) Ready(ctx context.Context, namespace string) error {
	// The first event finds the brake known. The Get uses the List's connection.
	defer c.brake.begin(ctx)
	if _, _, err := c.api.list(ctx, namespace, selector{fingerprint: fmt.Sprintf("%064d", 0), urgent: true}); err != nil {
		return fmt.Errorf("listing %s in namespace %s: %w", Resource.Resource, namespace, err)
	}
	return nil
}

// pause waits after a lost round, longer and with more jitter the more rounds
// were lost, so that writers of one object do not march in step.
func backOff(ctx context.Context, losses int) error {
	return sleep(ctx, rand.N(min(maxBackOff, minBackOff<<min(losses, 10))))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to try again: %w", ctx.Err())
	}
}
