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

// Answer is what a request is answered with: 200 with an empty body or a reply
// event, or another status with a short reason in plain text. A Broker takes a
// 2xx with a body that is no CloudEvent for a failure.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// Reason says why it is not 200.
	Reason string
	// Reply is the event of a 200, if there is one.
	Reply *event.Event
}

// OK is the answer to what is done.
func OK() Answer { return Answer{Status: http.StatusOK} }

// Refuse is an answer other than 200. Its reason is cut to what a Broker keeps.
func Refuse(status int, format string, args ...any) Answer {
	reason := fmt.Sprintf(format, args...)
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return Answer{Status: status, Reason: reason}
}

// later are the statuses that a sender may try again after a while.
func (a Answer) later() bool {
	return a.Status == http.StatusServiceUnavailable || a.Status == http.StatusInsufficientStorage
}

// Write sends the answer. A failed write has no reader any more, and one that
// does not read holds nothing up for long. Before an answer to a request whose
// body was not read there must be a [HangUp].
func (a Answer) Write(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(AnswerTimeout))
	defer func() {
		// The answer must be on its way before the request counts as done, or
		// a host that stops now would cut it off.
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
		// Headers in full, because the flush comes before the handler's end.
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Reason)+1))
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, a.Reason+"\n")
	}
}
