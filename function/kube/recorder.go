package kube

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"onefire/dedup/client"
)

// EventResult is the outcome of a Kubernetes Event.
type EventResult string

// The results.
const (
	// Written: the API server has accepted it.
	Written EventResult = "written"
	// Known: the API server already had it.
	Known EventResult = "known"
	// LeftOut: there were too many, or the API server did not accept it.
	LeftOut EventResult = "left_out"
)

// Recorder records Kubernetes Events. A nil Recorder records nothing.
type Recorder struct {
	write   func(context.Context, Event) error
	log     *slog.Logger
	counted func(EventResult)
	cancel  context.CancelFunc
	writing context.Context
	work    sync.WaitGroup

	mu    sync.Mutex
	queue []Event
	// busy is set while a goroutine writes the queue.
	busy bool
	// closed is set by [Recorder.Close], or because the API does not exist.
	closed bool
	// resumes is when the pause after a failure ends.
	resumes   time.Time
	limits    map[Type]*rate.Limiter
	complains rate.Sometimes
}

func newRecorder(write func(context.Context, Event) error, log *slog.Logger, counted func(EventResult)) *Recorder {
	writing, cancel := context.WithCancel(context.Background())
	return &Recorder{
		write: write, log: log, counted: counted, writing: writing, cancel: cancel,
		limits: map[Type]*rate.Limiter{
			Normal:  rate.NewLimiter(normalRate, normalBurst),
			Warning: rate.NewLimiter(warningRate, warningBurst),
		},
		complains: rate.Sometimes{Interval: complainEvery},
	}
}

// Record queues a Kubernetes Event, or leaves it out, and returns at once.
func (r *Recorder) Record(e Event) {
	if r == nil {
		return
	}
	e.Note = oneLine(e.Note) // The queue must stay small.
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed || time.Now().Before(r.resumes):
		r.counted(LeftOut) // The log has already given the reason.
		return
	case len(r.queue) >= maxQueue || !r.limits[e.Type].Allow():
		r.counted(LeftOut)
		r.complains.Do(func() {
			r.log.Info("Kubernetes Events are left out: too many at once", "reason", e.Reason)
		})
		return
	}
	r.queue = append(r.queue, e)
	if !r.busy {
		r.busy = true
		r.work.Go(r.drain)
	}
}

// drain writes what is in the queue until it is empty.
func (r *Recorder) drain() {
	for {
		e, ok := r.next()
		if !ok {
			return
		}
		r.note(e, r.write(r.writing, e))
	}
}

func (r *Recorder) next() (Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		r.queue, r.busy = nil, false
		return Event{}, false
	}
	e := r.queue[0]
	r.queue = r.queue[1:]
	return e, true
}

// note handles the outcome of a write.
func (r *Recorder) note(e Event, err error) {
	switch {
	case err == nil:
		r.counted(Written)
		return
	case apierrors.IsAlreadyExists(err):
		r.counted(Known)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counted(LeftOut)
	switch {
	case isItsOwn(err):
		// The next Event can still be accepted.
	case apierrors.IsNotFound(err):
		r.closed = true
		r.drop()
		r.log.Warn("Kubernetes Events are off until the next start: the API server has no events.k8s.io/v1", "error", err)
		return
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		r.pause(eventRefusalPause)
	default:
		r.pause(failurePause)
	}
	r.complains.Do(func() {
		r.log.Warn("Kubernetes Events are left out", "error", err, "reason", e.Reason, "object", e.On.Namespace+"/"+e.On.Name)
	})
}

// isItsOwn tells whether an error concerns only this Kubernetes Event: it is invalid, or
// its namespace is gone or being deleted.
func isItsOwn(err error) bool {
	return client.Invalid(err) || client.Terminating(err) || isMissingNamespace(err)
}

// pause leaves out the queue, and all Kubernetes Events that come within the given time.
// The caller holds r.mu.
func (r *Recorder) pause(d time.Duration) {
	r.resumes = time.Now().Add(d)
	r.drop()
}

// drop leaves out the queue. The caller holds r.mu.
func (r *Recorder) drop() {
	for range r.queue {
		r.counted(LeftOut)
	}
	r.queue = nil
}

// Close writes the queue until the context ends or [FlushTimeout] has passed, and leaves
// out the rest. Kubernetes Events that are recorded later are left out too.
func (r *Recorder) Close(ctx context.Context) {
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, FlushTimeout)
	defer cancel()
	// This ends the running write and leaves out the queue.
	defer context.AfterFunc(ctx, r.cancel)()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.work.Wait()
}
