package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// unavailableError is why the sink did not do what it was asked for, and may do it
// later.
type unavailableError struct {
	// status is the sink's HTTP status; zero without an answer.
	status int
	err    error
	// permanent tells that it takes an operator to put it right.
	permanent bool
	// unsent tells that the sink never got the request.
	unsent bool
	// pause is what the sink asked for; below zero if it did not.
	pause time.Duration
}

func (e *unavailableError) Error() string { return "the audit sink is not available: " + e.err.Error() }

func (e *unavailableError) Unwrap() error { return e.err }

// doubtful tells whether the sink may have acted on the request all the same.
func (e *unavailableError) doubtful() bool {
	return !e.unsent && (e.status == 0 || e.status/100 == 5 || e.status == http.StatusRequestTimeout)
}

// send posts items, several of them as one batch, and settles what it can.
func (s *Sink) send(items []*item) {
	slices.SortStableFunc(items, func(a, b *item) int { return a.event.Time().Compare(b.event.Time()) })
	begun, limit := time.Now(), singleTimeout
	var status int
	var err error
	switch {
	case len(items) > 1:
		limit = batchTimeout
		status, err = s.exchange(limit, batchOf(s.batchURL, items), nil)
	case s.datastorage:
		status, err = s.exchange(limit, single(s.url, items[0].event), nil)
	default:
		limit = min(attemptTimeout, time.Until(items[0].first.Add(maxElapsed)))
		status, err = s.exchange(limit, single(s.url, items[0].event), nil)
	}
	var refused *RefusedError
	var no *unavailableError
	errors.As(err, &refused)
	errors.As(err, &no)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(items) > 1 && s.split(items, status, refused) {
		return
	}
	for i := len(items) - 1; i >= 0; i-- {
		it := items[i]
		it.underWay = false
		it.tries++
		note(it.span, it.tries, status, err)
		switch {
		case err == nil:
			s.finish(it, nil)
		case refused != nil:
			whole, _ := json.Marshal(it.event) // It was valid when it was made.
			s.finish(it, &RefusedError{Status: refused.Status, Answer: refused.Answer, Event: whole})
		default:
			if s.datastorage && no != nil && no.doubtful() {
				it.doubt, it.until = true, begun
				if status != http.StatusInternalServerError {
					// The answer is a proxy's, or there is none: the sink may
					// still be at it.
					it.until = begun.Add(limit)
				}
			}
			s.retry(it, err)
		}
	}
}

// split puts the items of a batch back that was refused as a whole: they go in
// smaller batches, and one by one in the end. Where the sink knows no batches
// they go one by one at once.
func (s *Sink) split(items []*item, status int, refused *RefusedError) bool {
	switch {
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		s.unbatched = time.Now().Add(unbatchedFor)
	case refused == nil:
		return false
	}
	most := (len(items) + splitBatch - 1) / splitBatch
	for i := len(items) - 1; i >= 0; i-- {
		items[i].underWay, items[i].most = false, most
		s.back(items[i])
	}
	return true
}

// request makes a request anew for each try.
type request func(ctx context.Context) (*http.Request, error)

// single is the request of one event: a CloudEvent in binary mode.
func single(url string, e event.Event) request {
	return func(ctx context.Context) (*http.Request, error) {
		req, err := cehttp.NewHTTPRequestFromEvent(ctx, url, e)
		if err != nil {
			return nil, &RefusedError{Answer: err.Error()}
		}
		if parent, ok := e.Extensions()["traceparent"].(string); ok {
			req.Header.Set("Traceparent", parent) // For who traces requests and knows no events.
		}
		return req, nil
	}
}

// batchOf is the request of several events: an array of what DataStorage takes.
func batchOf(url string, items []*item) request {
	size := 1
	for _, it := range items {
		size += it.size + 1
	}
	body := make([]byte, 0, size)
	for i, it := range items {
		body = append(append(body, "[,"[min(i, 1)]), it.event.Data()...)
	}
	body = append(body, ']')
	return func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("making the request of a batch: %w", err)
		}
		req.Header.Set("Content-Type", event.ApplicationJSON)
		return req, nil
	}
}

// exchange sends a request, once more when a renewed token may help, and judges
// the answer; read reads that of a success. What the answer says of the sink is
// for all posts.
func (s *Sink) exchange(limit time.Duration, make request, read func(io.Reader) error) (status int, err error) {
	// The client's own timeout would take two goroutines more for each request.
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	begun := time.Now()
	status, err = s.once(ctx, make, read)
	if status == http.StatusUnauthorized && s.token.file != "" {
		s.token.forget()
		status, err = s.once(ctx, make, read)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var no *unavailableError
	if !errors.As(err, &no) {
		s.succeeded = now
	}
	switch {
	case no != nil && !no.permanent:
		s.pace.fail(begun, now, no.pause)
	case status == http.StatusAccepted && s.datastorage || now.Sub(begun) > slowAnswer:
		s.pace.slow(begun, now)
	case no == nil:
		s.pace.quick()
	}
	return status, err
}

func (s *Sink) once(ctx context.Context, make request, read func(io.Reader) error) (status int, err error) {
	var dialled, connected atomic.Bool
	req, err := make(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { dialled.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	if err != nil {
		return 0, err
	}
	if err := s.authorize(req); err != nil {
		return 0, &unavailableError{err: err, unsent: true, pause: -1}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, &unavailableError{err: err, unsent: dialled.Load() && !connected.Load(), pause: -1}
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && read != nil {
		switch err := read(resp.Body); {
		case errors.Is(err, errLarge): // It says nothing about the sink.
			return resp.StatusCode, err
		case err != nil:
			return resp.StatusCode, &unavailableError{status: resp.StatusCode, err: err, pause: -1}
		}
	}
	// Half an answer is enough: its status says what became of the event.
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, judge(resp, strings.TrimSpace(string(answer)))
}

// authorize sets the token.
func (s *Sink) authorize(req *http.Request) error {
	bearer, err := s.token.read()
	if err != nil {
		return fmt.Errorf("reading its token: %w", err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return nil
}

// judge says what an answer means: taken, refused for good, or not available.
// What an operator can put right, like a wrong path or missing rights, is not
// available: the event is worth keeping until then.
func judge(resp *http.Response, answer string) error {
	code := resp.StatusCode
	no := &unavailableError{status: code, err: errors.New(strings.TrimSpace(fmt.Sprintf("%d %s", code, answer))), pause: -1}
	switch {
	case code/100 == 2:
		return nil
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly || code/100 == 5:
		if pause, ok := retryAfter(resp.Header.Get("Retry-After")); ok {
			no.pause = pause
		}
		return no
	case code == http.StatusUnauthorized || code == http.StatusPaymentRequired || code == http.StatusForbidden ||
		code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code == http.StatusProxyAuthRequired ||
		code/100 != 4:
		no.permanent = true
		return no
	}
	return &RefusedError{Status: code, Answer: answer}
}

// retryAfter reads seconds or a date.
func retryAfter(header string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(header, 10, 64); err == nil {
		// Beyond our bound it does not matter how far.
		return time.Duration(min(n, uint64(2*maxElapsed/time.Second))) * time.Second, true
	}
	if t, err := http.ParseTime(header); err == nil {
		return min(max(time.Until(t), 0), 2*maxElapsed), true
	}
	return 0, false
}
