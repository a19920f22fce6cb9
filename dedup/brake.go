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

// Pause is a brake that is on. The brake is a ConfigMap with a configured name; while it
// exists, no RemediationRequest is created.
type Pause struct {
	Namespace, Name string
	// UID is the UID of the ConfigMap, so it differs each time the brake is put on.
	UID types.UID
	// Since is when the brake was put on, by the API server's clock.
	Since time.Time
	// Reason is the reason that the ConfigMap gives; it may be empty.
	Reason string
}

// pausedError means that no object was created because the brake is on. No request was
// sent.
type pausedError struct{ pause Pause }

func (e *pausedError) Error() string {
	return fmt.Sprintf("ConfigMap %s/%s pauses new RemediationRequests since %s: %s", e.pause.Namespace, e.pause.Name, e.pause.Since.Format(time.RFC3339), e.pause.Reason)
}

// brake knows whether the brake is on. One Get is valid for all callers for [brakeAge]
// from when it began. A handler calls begin at the List that a create may follow. The
// transport calls pause before each attempt of a create, after the create has got its
// slot of the limiter. So the last create is sent at most [brakeAge] plus the duration of
// one Get after the brake was put on.
//
// A Get that fails changes nothing: the last answer stays valid. Without an answer yet,
// the brake counts as off.
//
// A nil brake is never on.
type brake struct {
	read func(context.Context) (*Pause, error)
	// unread is called with each Get that failed; it may be nil.
	unread func(error)
	stop   context.CancelFunc
	closed context.Context
	gets   sync.WaitGroup

	mu sync.Mutex
	// known is the answer of the last Get that succeeded. asOf is when the last Get that
	// has ended began.
	known *Pause
	asOf  time.Time
	// running is the Get that is running, if any.
	running *brakeGet
}

// brakeGet is a running Get of the brake. done is closed when the Get has ended.
type brakeGet struct {
	begun time.Time
	done  chan struct{}
}

func newBrake(read func(context.Context) (*Pause, error), unread func(error)) *brake {
	b := &brake{read: read, unread: unread}
	b.closed, b.stop = context.WithCancel(context.Background())
	return b
}

// begin starts a Get of the brake if the last one is older than [brakeAge]. It does not
// wait.
func (b *brake) begin(ctx context.Context) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.getAfter(ctx, time.Now().Add(-brakeAge))
}

// pause returns the brake as it was at some moment within [brakeAge] before the call or
// later; nil means that it was off. If the context ends first, pause returns the last
// known answer.
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

// getAfter returns the Get to wait for. It is nil if the last Get began after the given
// moment, or if the brake is closed. Without a running Get, getAfter starts one. The
// caller holds the lock.
func (b *brake) getAfter(ctx context.Context, moment time.Time) *brakeGet {
	if b.asOf.After(moment) || b.closed.Err() != nil {
		return nil
	}
	if b.running == nil {
		g := &brakeGet{time.Now(), make(chan struct{})}
		b.running = g
		// Other callers wait for this Get too, so it must not end with its first caller.
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

// get makes a Get and stores its answer.
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

// close ends the running Get and prevents new ones. A caller of pause may still be
// waiting, for example an abandoned readiness probe; it gets the last known answer.
func (b *brake) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.stop()
	b.mu.Unlock()
	b.gets.Wait()
}

// brakeKey is the key of a context's brake, which the transport asks before each attempt.
type brakeKey struct{}

// openBrake makes a brake that reads the ConfigMap of that name.
func openBrake(config *rest.Config, at types.NamespacedName, unread func(error)) (*brake, error) {
	configMaps, err := client.New(config, "onefire", schema.GroupVersion{Version: "v1"})
	if err != nil {
		return nil, err
	}
	return newBrake(func(ctx context.Context) (*Pause, error) { return readPause(ctx, configMaps, at) }, unread), nil
}

// ReadPause makes one Get of the ConfigMap of that name. It returns nil if the brake is
// off.
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
		return nil, fmt.Errorf("the API server's answer to a Get of ConfigMap %s is not a ConfigMap", at)
	}
	return &Pause{
		Namespace: at.Namespace, Name: at.Name, UID: w.Metadata.UID,
		Since: parseTime(w.Metadata.CreationTimestamp).UTC(), Reason: shortReason(w.Data["reason"]),
	}, nil
}

// shortReason cuts a text to [maxPauseReason] bytes.
func shortReason(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxPauseReason)], "")
}
