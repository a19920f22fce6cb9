package receive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/cloudevents/sdk-go/v2/types"
	"golang.org/x/sync/semaphore"
)

// Receiver reads requests within its bounds. It is safe for concurrent use. Its zero
// value is not usable; see [New].
type Receiver struct {
	// Answered is called before each answer is sent, with the time that the request has
	// taken. It may be nil, and must be set before the first request.
	Answered func(ctx context.Context, status int, took time.Duration)
	// Admit is called before a request uses any resources. If it returns an answer, that
	// ends the request and its connection, and the body is not read. It may be nil, and
	// must be set before the first request.
	Admit func(ctx context.Context, w http.ResponseWriter, r *http.Request) *Answer

	bounds   Bounds
	requests requests
	bodies   *Bodies
	slots    *semaphore.Weighted
}

// New makes a receiver.
func New(b Bounds) *Receiver {
	return &Receiver{bounds: b, bodies: NewBodies(b.Arriving, b.Bodies), slots: semaphore.NewWeighted(int64(b.Requests))}
}

// Serve reads one request's body, calls handle and sends the answer, which it also
// returns. The context of handle does not end when the client hangs up, but at
// Bounds.Timeout. A panic of handle is logged and answered 500.
func (v *Receiver) Serve(w http.ResponseWriter, r *http.Request, log *slog.Logger, handle func(ctx context.Context, body []byte) Answer) Answer {
	begun := time.Now()
	a, leave := v.answer(w, r, log, handle)
	defer leave()
	if v.Answered != nil {
		v.Answered(r.Context(), a.Status, time.Since(begun))
	}
	a.Write(w, r)
	return a
}

// answer makes the answer. leave releases the resources of the request when its answer
// was sent. A request that was not admitted has none.
func (v *Receiver) answer(w http.ResponseWriter, r *http.Request, log *slog.Logger, handle func(context.Context, []byte) Answer) (a Answer, leave func()) {
	leave = func() {}
	defer func() {
		if cause := recover(); cause != nil {
			log.Error("panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			a = Refuse(http.StatusInternalServerError, "internal error: see the log")
		}
	}()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		HangUp(w, r)
		return Refuse(http.StatusMethodNotAllowed, "POST a CloudEvent"), leave
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), v.bounds.Timeout)
	defer cancel()
	if v.Admit != nil {
		if no := v.Admit(ctx, w, r); no != nil {
			HangUp(w, r)
			return *no, leave
		}
	}
	entered, ok := v.requests.begin()
	if !ok {
		HangUp(w, r)
		return Refuse(http.StatusServiceUnavailable, "%v", ErrBusy), leave
	}
	leave = entered
	body, release, err := v.bodies.Read(w, r, v.bounds.Body)
	defer release()
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return Refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", v.bounds.Body), leave
	case err != nil:
		return Refuse(http.StatusServiceUnavailable, "%v", err), leave
	case !v.slots.TryAcquire(1):
		return Refuse(http.StatusServiceUnavailable, "%v", ErrBusy), leave
	}
	leave = func() {
		v.slots.Release(1)
		entered()
	}
	return handle(ctx, body), leave
}

// Close rejects new requests and waits for the running ones, until the context ends.
func (v *Receiver) Close(ctx context.Context) error { return v.requests.close(ctx) }

// Oldest is how long the oldest request has been running.
func (v *Receiver) Oldest() time.Duration { return v.requests.oldest() }

// Decode reads one CloudEvent in binary or structured mode. Without an event, the answer
// says why. Decode does not check whether the event is valid.
func Decode(r *http.Request, body []byte) (*event.Event, Answer) {
	message := cehttp.NewMessage(r.Header, io.NopCloser(bytes.NewReader(body)))
	var e event.Event
	var err error
	switch message.ReadEncoding() {
	case binding.EncodingStructured:
		e, err = Unmarshal(body)
	case binding.EncodingBinary:
		var read *event.Event
		if read, err = binding.ToEvent(r.Context(), ordered{message, r.Header}); err == nil {
			e = *read
		}
	default:
		return nil, Refuse(http.StatusUnsupportedMediaType,
			"not a CloudEvent: use binary mode (ce- headers), application/cloudevents+json or application/cloudevents-batch+json")
	}
	if err != nil {
		return nil, Refuse(http.StatusBadRequest, "not a valid CloudEvent: %v", err)
	}
	if e.Extensions()["traceparent"] == nil && r.Header.Get("Traceparent") != "" {
		e.SetExtension("traceparent", r.Header.Get("Traceparent"))
	}
	return &e, Answer{}
}

// Arrived is when a Broker received the event, as Knative's Broker notes it in an
// extension; zero if it is not known.
func Arrived(e event.Event) time.Time {
	arrived, _ := types.ToTime(e.Extensions()["knativearrivaltime"]) // With an error it is zero.
	return arrived
}
