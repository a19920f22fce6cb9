package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

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
	var no *UnavailableError
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

// single is the request of one event: a CloudEvent in binary mode.
func single(url string, e event.Event) Request {
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
func batchOf(url string, items []*item) Request {
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

// exchange sends a request when the pace allows it, and judges the answer; read reads
// that of a success. The pace that follows from the answer holds for all requests.
func (s *Sink) exchange(limit time.Duration, make Request, read func(io.Reader) error) (status int, err error) {
	if err := s.admit(); err != nil {
		return 0, err
	}
	// The client's own timeout would take two goroutines more for each request.
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	begun := time.Now()
	status, err = s.client.exchange(ctx, make, read)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var no *UnavailableError
	if !errors.As(err, &no) {
		s.succeeded = now
	}
	if status == http.StatusTooManyRequests {
		s.pace.deny(begun, now)
	}
	switch {
	case no != nil && !no.Permanent:
		s.pace.fail(begun, now, no.pause)
		s.asked = false // The retry goes first.
	case status == http.StatusAccepted && s.datastorage || now.Sub(begun) > slowAnswer:
		s.pace.slow(begun, now)
	case no == nil:
		s.pace.quick(now)
	}
	return status, err
}

// admit waits until the pace allows one more request, in the order of the calls. It does
// not wait for a sink that is away for longer than maxPause: then the events go back into
// the queue.
func (s *Sink) admit() error {
	s.mu.Lock()
	next := s.pace.reserve(time.Now())
	s.mu.Unlock()
	for {
		now := time.Now()
		s.mu.Lock()
		away := s.pace.until
		s.mu.Unlock()
		if away.After(next) {
			next = away
		}
		switch {
		case !next.After(now):
			return nil
		case away.Sub(now) > maxPause:
			return &UnavailableError{By: sinkName, err: notBefore(away), unsent: true, pause: -1}
		}
		select {
		case <-time.After(next.Sub(now)):
		case <-s.ctx.Done():
			return &UnavailableError{By: sinkName, err: errClosed, unsent: true, pause: -1}
		}
	}
}

// notBefore says until when the sink is not tried.
func notBefore(until time.Time) error {
	return fmt.Errorf("nothing is sent until %s, as it asked", until.UTC().Format(time.RFC3339))
}
