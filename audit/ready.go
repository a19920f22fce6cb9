package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Ready tells whether the sink can be reached. DataStorage must also let in our
// token, to queries and to posts, and must take the schema of our events. Of any other
// sink any answer will do: sinks differ in what they say to a HEAD.
func (s *Sink) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if s.datastorage {
		return s.readyToStore(ctx)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, s.url, nil)
	if err != nil {
		return fmt.Errorf("probing the audit sink: %w", err)
	}
	resp, err := s.client.http.Do(req)
	if err != nil {
		return fmt.Errorf("probing the audit sink: %w", err)
	}
	return resp.Body.Close()
}

// readyToStore asks both at once: a start waits for it.
func (s *Sink) readyToStore(ctx context.Context) error {
	var asking sync.WaitGroup
	var query, trial error
	asking.Go(func() { query = s.mayAsk(ctx) })
	if s.trial != nil && !s.known.Load() {
		asking.Go(func() { trial = s.takes(ctx) })
	}
	asking.Wait()
	if query != nil {
		return query // The same is wrong with the post, or this must be put right first.
	}
	return trial
}

// mayAsk asks for the rows of a correlation id that there is none of: DataStorage
// counts what a query finds, and without a filter that would be the whole table.
func (s *Sink) mayAsk(ctx context.Context) error {
	status, answer, err := s.probe(ctx, get(s.url, url.Values{"limit": {"1"}, "correlation_id": {"onefire-readiness"}}))
	switch {
	case err != nil:
		return err
	case status == http.StatusOK:
		return nil
	}
	return notReady(http.MethodGet, s.url, status, answer)
}

// takes posts the trial. Each 400 means that DataStorage has stored nothing, and its
// text says which check it did not pass. An answer that says nothing about rights or
// schema, like a 429, leaves the question open until the next probe.
func (s *Sink) takes(ctx context.Context) error {
	body, err := json.Marshal(s.trial)
	if err != nil {
		return fmt.Errorf("making the event of a probe: %w", err)
	}
	status, answer, err := s.probe(ctx, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("making the request of a probe: %w", err)
		}
		req.Header.Set("Content-Type", event.ApplicationJSON)
		return req, nil
	})
	switch {
	case err != nil:
		return err
	case status == http.StatusBadRequest && strings.Contains(strings.ToLower(answer), "schema"):
		return fmt.Errorf("probing DataStorage: %d to POST %s (%s): %w", status, redacted(s.url), answer, errSchema)
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return notReady(http.MethodPost, s.url, status, answer)
	case status == http.StatusBadRequest || status/100 == 2:
		s.known.Store(true)
	}
	return nil
}

// errSchema is why DataStorage takes none of our events.
var errSchema = errors.New("set another AUDIT_SCHEMA: DataStorage does not take events of this one, and each of its releases takes 2026-08")

// notReady says what an operator can do about an answer.
func notReady(method, address string, status int, answer string) error {
	advice := "see DataStorage's own log"
	switch status {
	case http.StatusUnauthorized:
		advice = "AUDIT_TOKEN_FILE must hold a token of a service account that its cluster knows"
	case http.StatusForbidden:
		advice = "bind the function's service account to the ClusterRole data-storage-client in DataStorage's namespace"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		advice = "AUDIT_SINK must be the URL of DataStorage's audit events, like http://HOST/api/v1/audit/events"
	}
	return fmt.Errorf("probing DataStorage: %d to %s %s (%s): %s", status, method, redacted(address), answer, advice)
}

// redacted is a URL as it may be shown: without its password.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "its URL"
	}
	return u.Redacted()
}

// probe makes a request, once more when a renewed token may help.
func (s *Sink) probe(ctx context.Context, make Request) (status int, answer string, err error) {
	status, answer, err = s.probeOnce(ctx, make)
	if status == http.StatusUnauthorized && s.client.token.forget() {
		status, answer, err = s.probeOnce(ctx, make)
	}
	if err != nil {
		return 0, "", fmt.Errorf("probing DataStorage: %w", err)
	}
	return status, answer, nil
}

func (s *Sink) probeOnce(ctx context.Context, make Request) (status int, answer string, err error) {
	resp, err := s.client.Do(ctx, make)
	var no *UnavailableError
	if errors.As(err, &no) {
		return 0, "", fmt.Errorf("no answer: %w", no.Unwrap())
	} else if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxNote)) // Half an answer is enough.
	return resp.StatusCode, strings.TrimSpace(string(text)), nil
}
