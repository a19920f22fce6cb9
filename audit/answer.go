package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// judge says what an answer means: taken, refused for good, or not available.
func (c *Client) judge(resp *http.Response, answer string) error {
	code := resp.StatusCode
	no := &UnavailableError{By: c.options.Name, Status: code, Answer: answer, pause: -1}
	switch {
	case code/100 == 2:
		return nil
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly || code/100 == 5 ||
		slices.Contains(c.options.Retried, code):
		if pause, ok := RetryAfter(resp.Header.Get("Retry-After"), maxRetryAfter); ok {
			no.pause = pause
		}
		return no
	case code == http.StatusUnauthorized || code == http.StatusPaymentRequired || code == http.StatusForbidden ||
		code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code == http.StatusProxyAuthRequired ||
		code/100 != 4:
		no.Permanent = true
		return no
	}
	return &RefusedError{By: c.options.Name, Status: code, Answer: answer}
}

// RetryAfter reads the header Retry-After: seconds or a date. A wait is at most as long
// as is said: beyond the caller's own bound it does not matter how far.
func RetryAfter(header string, most time.Duration) (time.Duration, bool) {
	if n, err := strconv.ParseUint(header, 10, 64); err == nil {
		if n > uint64(most/time.Second) {
			return most, true
		}
		return time.Duration(n) * time.Second, true
	}
	if t, err := http.ParseTime(header); err == nil {
		return min(max(time.Until(t), 0), most), true
	}
	return 0, false
}

// short is an answer as it may stand in a message; 0 is no bound.
func short(answer string, most int) string {
	answer = strings.TrimSpace(answer)
	if most == 0 {
		return answer
	}
	if len(answer) > most {
		answer = answer[:most] + "…"
	}
	return strings.ToValidUTF8(answer, "")
}

// UnavailableError means that a server did not take what it was sent, and may take it
// later.
type UnavailableError struct {
	// By is who did not: a client's name.
	By string
	// Status is its HTTP status, and Answer its answer, cut; zero and empty without one.
	Status int
	Answer string
	// Permanent tells that it takes an operator to put it right, such as a wrong path
	// or missing rights: the event is worth keeping until then.
	Permanent bool
	// err is why there is no answer, or none that can be read.
	err error
	// unsent tells that the server never got the request.
	unsent bool
	// pause is what the server asked for; below zero if it did not.
	pause time.Duration
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s is not available: %s", e.By, e.Reason())
}

// Reason is the error without who it is of.
func (e *UnavailableError) Reason() string {
	if e.err != nil {
		return e.err.Error()
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, e.Answer))
}

func (e *UnavailableError) Unwrap() error { return e.err }

// doubtful tells whether the server may have acted on the request all the same.
func (e *UnavailableError) doubtful() bool {
	return !e.unsent && (e.Status == 0 || e.Status/100 == 5 || e.Status == http.StatusRequestTimeout)
}

// RefusedError means that a server will never take this event, however often it
// is sent.
type RefusedError struct {
	// By is who refused it: a client's name; empty for the audit sink.
	By string
	// Status is its HTTP status, or the one that it would answer with; zero when the
	// event could not even be built.
	Status int
	// Answer is its answer, cut.
	Answer string
	// Event is the whole CloudEvent in its JSON format, to be sent again once
	// the sink has learned to take it; only its data if it could not be built.
	Event json.RawMessage
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s refused the event for good: %d %s", cmp.Or(e.By, sinkName), e.Status, e.Answer)
}
