package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"onefire/function/receive"
)

// answer is the answer to a request. Its reason is the same for the same cause, because
// Alertmanager logs a failed attempt only if the reason is new.
type answer struct {
	status int
	reason string
}

func answered(status int, format string, args ...any) answer {
	reason := fmt.Sprintf(format, args...)
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return answer{status: status, reason: reason}
}

// serveWebhook answers one webhook.
func (s *Source) serveWebhook(w http.ResponseWriter, r *http.Request) {
	a, done := s.answer(w, r)
	s.refused(a)
	s.metrics.webhook(r.Context(), a.status, s.now())
	// If Alertmanager hung up or received a 5xx, it resends the same webhook. If it hangs
	// up after the answer was sent, it may have read the answer.
	done(a.status < http.StatusInternalServerError && r.Context().Err() == nil)
	a.write(w)
}

// answer makes the answer. The caller must call done before it sends the answer.
func (s *Source) answer(w http.ResponseWriter, r *http.Request) (a answer, done func(settled bool)) {
	// This is the answer after a panic. The span of the webhook has it too.
	a, done = answered(http.StatusInternalServerError, "%v", errPanic), func(bool) {}
	defer func() {
		if cause := recover(); cause != nil {
			s.log.Error("panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
	}()
	if a, ok := s.admit(w, r); !ok {
		receive.HangUp(w, r) // The body of a stranger is not read.
		return a, done
	}
	ctx, span := s.receiving(context.WithoutCancel(r.Context()), r)
	defer received(span, &a)
	body, release, err := s.bodies.Read(w, r, maxBody)
	defer release()
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return answered(http.StatusRequestEntityTooLarge, "the webhook is larger than %d bytes: lower the receiver's max_alerts or group by more labels", maxBody), done
	case err != nil:
		return answered(http.StatusServiceUnavailable, "%v", err), done
	case !s.requests.TryAcquire(1):
		return answered(http.StatusServiceUnavailable, "%v", receive.ErrBusy), done
	}
	defer s.requests.Release(1)
	now := s.now()
	hook, err := read(body, now)
	switch {
	case errors.Is(err, errTooLarge):
		return answered(http.StatusRequestEntityTooLarge, "%v", err), done
	case err != nil:
		return answered(http.StatusBadRequest, "%v", err), done
	}
	// A delivery goes on when its sender hangs up, because a Broker may lose an event
	// whose sender hangs up. It ends by its own deadline.
	ctx, cancel := context.WithTimeoutCause(ctx, s.config.DeliveryTimeout,
		fmt.Errorf("not accepted within DELIVERY_TIMEOUT, %s", s.config.DeliveryTimeout))
	defer cancel()
	d := s.newDelivery(hook, body, r.Header.Get("Traceparent"), now)
	return d.run(ctx), func(settled bool) { s.memory.settle(d.occurrences, settled, s.now()) }
}

// refused logs that a webhook was not accepted.
func (s *Source) refused(a answer) {
	if a.status == http.StatusOK {
		return
	}
	// Each status has log lines of its own, so that strangers cannot hide that the sink
	// is down.
	kind, _ := s.refusals.LoadOrStore(a.status, &receive.LogLimit{})
	if n, ok := kind.(*receive.LogLimit).Next(s.now(), refusalPause); ok {
		s.log.Warn("webhook not accepted", "status", a.status, "reason", a.reason, "unlogged", n)
	}
}

// admit tells whether a request may use any resources. Otherwise it returns the answer.
func (s *Source) admit(w http.ResponseWriter, r *http.Request) (a answer, ok bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return answered(http.StatusMethodNotAllowed, "POST a webhook of Alertmanager"), false
	}
	switch err := s.auth.check(r); {
	case errors.Is(err, errCredentials):
		w.Header().Set("Www-Authenticate", s.auth.challenge())
		return answered(http.StatusUnauthorized, "%v", err), false
	case err != nil:
		if n, ok := s.unreadable.Next(s.now(), refusalPause); ok {
			s.log.Error("credentials cannot be checked, so no webhook is accepted", "error", err, "unlogged", n)
		}
		return answered(http.StatusServiceUnavailable, "cannot check the credentials: see the log of the source"), false
	}
	return answer{}, true
}

// write sends the answer. If the client has gone, the write fails and that is ignored; a
// client that does not read delays the write only for a short time.
func (a answer) write(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(answerTimeout))
	defer func() {
		_ = control.Flush()
		_ = control.SetWriteDeadline(time.Time{})
	}()
	if a.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(a.reason)+1))
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.reason+"\n")
}
