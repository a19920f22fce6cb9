package dedup

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"onefire/dedup/client"
)

// Pause is a brake that is on: a ConfigMap of an agreed name. Nothing new is made while
// it exists.
type Pause struct {
	Namespace, Name string
	// UID is another one for each time that the brake is put on.
	UID types.UID
	// Since is when that was, by the API server's clock.
	Since time.Time
	// Reason is what somebody said why; it may be empty.
	Reason string
}

// pausedError means that an object was not made because the brake is on. No request was
// sent.
type pausedError struct{ pause Pause }

func (e *pausedError) Error() string {
	return fmt.Sprintf("ConfigMap %s/%s has paused it since %s: %s", e.pause.Namespace, e.pause.Name, e.pause.Since.Format(time.RFC3339), e.pause.Reason)
}

// brake knows whether the brake is on. The answer to a Get holds for [brakeAge] from when
// the Get began, for all callers. A handler calls begin beside the List that a create may
// follow from. The transport calls pause before it sends each try of a create, when the
// create has its slot among the calls under way. So no create is sent later than
// [brakeAge], and the time of one Get, after the brake was put on.
//
// A failed Get changes nothing: what was known before holds. If nothing was known, the
// brake counts as off.
//
// A nil brake is never on.
type brake struct {
	read func(context.Context) (*Pause, error)
	// unread is told of each Get that failed; it may be nil.
	unread func(error)
	stop   context.CancelFunc
	closed context.Context
	gets   sync.WaitGroup

	mu sync.Mutex
	// known is what the last Get said, and asOf when the last one that has ended began.
	known *Pause
	asOf  time.Time
	// under is the Get that is under way.
	running *brakeGet
}

// glance is a Get of the brake. done is closed when it has ended.
type brakeGet struct {
	begun time.Time
	done  chan struct{}
}

func newBrake(read func(context.Context) (*Pause, error), unread func(error)) *brake {
	b := &brake{read: read, unread: unread}
	b.closed, b.stop = context.WithCancel(context.Background())
	return b
}

// begin has the brake read where that was not done within [brakeAge]. It waits for
// nothing.
func (b *brake) begin(ctx context.Context) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.getAfter(ctx, time.Now().Add(-brakeAge))
}

// pause returns why nothing new may be made, as it was at a moment not earlier than
// [brakeAge] before the call; nil where it may. When the context ends first it returns
// what is known.
func (b *brake) pause(ctx context.Context) *Pause {
	if b == nil {
		return nil
	}
	for moment := time.Now().Add(-brakeAge); ; {
		b.mu.Lock()
		g, known := b.getAfter(ctx, moment), b.known
		b.mu.Unlock()
		if g == nil {
			return known
		}
		select {
		case <-g.done:
		case <-ctx.Done():
			return known
		}
	}
}

// after returns nil where the last Get began after a moment, or the brake is closed, and
// otherwise the Get that is under way, which it starts if there is none. The caller holds
// the lock.
func (b *brake) getAfter(ctx context.Context, moment time.Time) *brakeGet {
	if b.asOf.After(moment) || b.closed.Err() != nil {
		return nil
	}
	if b.running == nil {
		g := &brakeGet{time.Now(), make(chan struct{})}
		b.running = g
		// Other callers wait for it too, so it does not end with its first caller.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), brakeTimeout)
		unbound := context.AfterFunc(b.closed, cancel) //nolint:contextcheck // Closing ends it, whoever asked first.
		b.gets.Go(func() {
			defer cancel()
			defer unbound()
			b.get(ctx, g)
		})
	}
	return b.running
}

// get makes a Get and notes what it said.
func (b *brake) get(ctx context.Context, g *brakeGet) {
	pause, err := b.readSafely(ctx)
	b.mu.Lock()
	if err == nil {
		b.known = pause
	}
	b.asOf, b.running = g.begun, nil
	b.mu.Unlock()
	close(g.done)
	if err != nil && b.unread != nil && b.closed.Err() == nil {
		b.unread(err)
	}
}

func (b *brake) readSafely(ctx context.Context) (pause *Pause, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = panicError(cause)
		}
	}()
	return b.read(ctx)
}

// close ends the Get under way, and no other begins: a question that nobody waits for any
// more, as that of a readiness probe, may still be there.
func (b *brake) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.stop()
	b.mu.Unlock()
	b.gets.Wait()
}

// brakeKey is the context's key of the brake that each try of a call asks.
type brakeKey struct{}

// openBrake makes a brake of a ConfigMap of that name.
func openBrake(config *rest.Config, at types.NamespacedName, unread func(error)) (*brake, error) {
	configMaps, err := client.New(config, "onefire", schema.GroupVersion{Version: "v1"})
	if err != nil {
		return nil, err
	}
	return newBrake(func(ctx context.Context) (*Pause, error) { return readPause(ctx, configMaps, at) }, unread), nil
}

// ReadPause makes one Get of the brake of that name. It returns nil where that is off.
func ReadPause(ctx context.Context, config *rest.Config, at types.NamespacedName) (*Pause, error) {
	b, err := openBrake(config, at, nil)
	if err != nil {
		return nil, err
	}
	return b.read(ctx)
}

func readPause(ctx context.Context, configMaps rest.Interface, at types.NamespacedName) (*Pause, error) {
	stream, err := configMaps.Get().Namespace(at.Namespace).Resource("configmaps").Name(at.Name).Timeout(brakeTimeout).Stream(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading ConfigMap %s: %w", at, err)
	}
	defer stream.Close()
	var w struct {
		Metadata struct {
			UID               types.UID `json:"uid"`
			CreationTimestamp string    `json:"creationTimestamp"`
		} `json:"metadata"`
		Data map[string]string `json:"data"`
	}
	text, err := io.ReadAll(&boundedReader{stream, maxAnswer})
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap %s: %w", at, err)
	}
	if err := decode(text, &w); err != nil {
		return nil, err
	}
	if w.Metadata.UID == "" {
		return nil, fmt.Errorf("the API server's answer to a Get of ConfigMap %s is none", at)
	}
	return &Pause{
		Namespace: at.Namespace, Name: at.Name, UID: w.Metadata.UID,
		Since: parseTime(w.Metadata.CreationTimestamp).UTC(), Reason: shortReason(w.Data["reason"]),
	}, nil
}

// short is a text of at most [maxPauseReason] bytes.
func shortReason(s string) string {
	if len(s) > maxPauseReason {
		s = s[:maxPauseReason]
	}
	return strings.ToValidUTF8(s, "")
}
