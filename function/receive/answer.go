package receive

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// Answer is the answer to a request: 200 with an empty body or a reply event, or another
// status with a short reason in plain text. A Broker treats a 2xx whose body is not a
// CloudEvent as a failure.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// Reason says why the status is not 200.
	Reason string
	// Reply is the reply event of a 200, if any.
	Reply *event.Event
}

// OK is the answer to a request whose work is done.
func OK() Answer { return Answer{Status: http.StatusOK} }

// Refuse is an answer other than 200. Its reason is cut to the length that a Broker
// keeps.
func Refuse(status int, format string, args ...any) Answer {
	reason := fmt.Sprintf(format, args...)
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return Answer{Status: status, Reason: reason}
}

// later tells whether the status lets a sender try again after a while.
func (a Answer) later() bool {
	return a.Status == http.StatusServiceUnavailable || a.Status == http.StatusInsufficientStorage
}

// Write sends the answer. If the client has gone, the write fails and that is ignored; a
// client that does not read delays the write only for a short time. An answer to a
// request whose body was not read needs a [HangUp] before it.
func (a Answer) Write(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(AnswerTimeout))
	defer func() {
		// The answer must be sent before the request counts as finished, because a host
		// that stops would otherwise cut it off.
		_ = control.Flush()
		_ = control.SetWriteDeadline(time.Time{})
	}()
	switch {
	case a.Reply != nil:
		_ = cehttp.WriteResponseWriter(r.Context(), binding.ToMessage(a.Reply), a.Status, w)
	case a.Status == http.StatusOK:
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	default:
		if a.later() {
			w.Header().Set("Retry-After", retryAfter)
		}
		// The flush comes before the handler ends, so all headers must be set here.
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Reason)+1))
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, a.Reason+"\n")
	}
}
