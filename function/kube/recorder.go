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

// EventResult is what became of an Event.
type EventResult string

// The results.
const (
	// Written: the API server has it now.
	Written EventResult = "written"
	// Known: it had it already.
	Known EventResult = "known"
	// LeftOut: there were too many, or the API server took none.
	LeftOut EventResult = "left_out"
)

// Recorder records Events. A nil Recorder records nothing.
type Recorder struct {
	write   func(context.Context, Event) error
	log     *slog.Logger
	counted func(EventResult)
	cancel  context.CancelFunc
	writing context.Context
	work    sync.WaitGroup

	mu    sync.Mutex
	queue []Event
	// busy while a goroutine writes what is in the queue.
	busy bool
	// closed for good: by [Recorder.Close], or because there is no such API.
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

// Record queues an Event, or leaves it out, and returns at once.
func (r *Recorder) Record(e Event) {
	if r == nil {
		return
	}
	e.Note = oneLine(e.Note) // What waits must be small.
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed || time.Now().Before(r.resumes):
		r.counted(LeftOut) // The log has said why.
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

// note acts on what became of a write.
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
		// The next one may well be taken.
	case apierrors.IsNotFound(err):
		r.stop()
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

// isItsOwn tells whether an error is about this Event and says nothing about
// others: it is invalid, or its namespace is gone or going.
func isItsOwn(err error) bool {
	return client.Invalid(err) || client.Terminating(err) || isMissingNamespace(err)
}

// pause leaves out what waits, and all that comes for a time. r.mu is held.
func (r *Recorder) pause(d time.Duration) {
	r.resumes = time.Now().Add(d)
	for range r.queue {
		r.counted(LeftOut)
	}
	r.queue = nil
}

// stop is a pause without end. r.mu is held.
func (r *Recorder) stop() {
	r.pause(0)
	r.closed = true
}

// Close writes what waits, until the context ends or [FlushTimeout] has passed,
// and leaves the rest out. What is recorded later is left out too.
func (r *Recorder) Close(ctx context.Context) {
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, FlushTimeout)
	defer cancel()
	// The write that is under way is given up, and with it all that wait.
	defer context.AfterFunc(ctx, r.cancel)()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.work.Wait()
	r.cancel()
}
