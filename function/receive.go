package function

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"golang.org/x/sync/semaphore"
)

// answer is what a request is answered with: 200 with an empty body or a reply
// event, or another status with a short reason.
type answer struct {
	status int
	reason string
	reply  *event.Event
}

func refuse(status int, format string, args ...any) answer {
	reason := fmt.Sprintf(format, args...)
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return answer{status: status, reason: reason}
}

var errBusy = errors.New("too much is under way already")

// ServeHTTP answers one request. The SDK's own HTTP receiver is not used: it
// hands requests over one shared channel, on which they can hang for good.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := f.parts.Load()
	if p == nil {
		refuse(http.StatusServiceUnavailable, "the function is starting").write(w, r)
		return
	}
	a := refuse(http.StatusServiceUnavailable, "%v", errBusy)
	if leave, ok := f.requests.enter(); ok {
		defer leave()
		a = f.answer(p, w, r)
	}
	p.metrics.request(r.Context(), a.status)
	a.write(w, r)
}

func (f *Function) answer(p *parts, w http.ResponseWriter, r *http.Request) (a answer) {
	defer func() {
		if cause := recover(); cause != nil {
			p.log.Error("panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			a = refuse(http.StatusInternalServerError, "internal error: see the log")
		}
	}()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, "POST a CloudEvent")
	}
	// A client that hangs up does not undo what it sent: the event is
	// finished all the same, within the deadline.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), eventTimeout)
	defer cancel()
	body, release, err := f.read(w, r)
	defer release()
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)
	case err != nil:
		return refuse(http.StatusServiceUnavailable, "reading the body: %v", err)
	}
	if cehttp.IsHTTPBatch(r.Header) {
		return p.handleBatch(ctx, body)
	}
	e, bad := decode(r, body)
	if e == nil {
		return bad
	}
	return p.handle(ctx, *e)
}

// read reads the body within the limits of size and time. release gives back
// its share of the memory for bodies.
func (f *Function) read(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	held := &budget{left: f.bodies}
	if r.ContentLength > maxBody {
		return nil, held.release, &http.MaxBytesError{Limit: maxBody}
	}
	// Hosts that cannot set a deadline have their own.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	var buffer bytes.Buffer
	_, err = io.Copy(&buffer, io.TeeReader(http.MaxBytesReader(w, r.Body, maxBody), held))
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return buffer.Bytes(), held.release, err
}

// budget takes what is written to it from the memory for bodies, piece by
// piece, so that a slow sender holds no more than it has sent. It never waits.
type budget struct {
	left *semaphore.Weighted
	held int64
}

func (b *budget) Write(piece []byte) (int, error) {
	n := int64(len(piece))
	if !b.left.TryAcquire(n) {
		return 0, errBusy
	}
	b.held += n
	return len(piece), nil
}

func (b *budget) release() { b.left.Release(b.held) }

// decode reads one CloudEvent in binary or structured mode.
func decode(r *http.Request, body []byte) (*event.Event, answer) {
	message := cehttp.NewMessage(r.Header, io.NopCloser(bytes.NewReader(body)))
	if message.ReadEncoding() == binding.EncodingUnknown {
		return nil, refuse(http.StatusUnsupportedMediaType,
			"not a CloudEvent: use binary mode (ce- headers), application/cloudevents+json or application/cloudevents-batch+json")
	}
	e, err := binding.ToEvent(r.Context(), message)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "not a valid CloudEvent: %v", err)
	}
	if e.Extensions()["traceparent"] == nil && r.Header.Get("Traceparent") != "" {
		e.SetExtension("traceparent", r.Header.Get("Traceparent"))
	}
	return e, answer{}
}

// validate tells whether an event is a CloudEvent that can be passed on.
func validate(e event.Event) error {
	if err := e.Validate(); err != nil {
		return fmt.Errorf("not a valid CloudEvent: %w", err)
	}
	if len(e.ID()) > maxAttribute || len(e.Source()) > maxAttribute {
		return fmt.Errorf("the CloudEvent's id or source is longer than %d bytes", maxAttribute)
	}
	return nil
}

// write sends the answer. A failed write has no reader any more, and one that
// does not read holds nothing up for long.
func (a answer) write(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(answerTimeout))
	defer func() {
		// The answer must be on its way before the request counts as done, or
		// a host that stops now would cut it off.
		_ = control.Flush()
		_ = control.SetWriteDeadline(time.Time{})
	}()
	switch {
	case a.reply != nil:
		_ = cehttp.WriteResponseWriter(r.Context(), binding.ToMessage(a.reply), a.status, w)
	case a.status == http.StatusOK:
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	default:
		if a.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfter)
		}
		// Before the server sends this it reads on in a body that was not read
		// to its end, and would for as long as a slow sender likes.
		_ = control.SetReadDeadline(time.Now().Add(drainTimeout))
		// Headers in full, because the flush comes before the handler's end.
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(a.reason)+1))
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.reason+"\n")
	}
}
