package audit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Ready tells whether the sink can be reached. DataStorage must also let in our
// token to its query. Of any other sink any answer will do: sinks differ in what
// they say to a HEAD.
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
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("probing the audit sink: %w", err)
	}
	return resp.Body.Close()
}

func (s *Sink) readyToStore(ctx context.Context) error {
	status, answer, err := s.probe(ctx)
	if status == http.StatusUnauthorized && s.token.file != "" {
		s.token.forget()
		status, answer, err = s.probe(ctx)
	}
	if err != nil {
		return fmt.Errorf("probing DataStorage: %w", err)
	}
	advice := "see DataStorage's own log"
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		advice = "AUDIT_TOKEN_FILE must hold a token of a service account that its cluster knows"
	case http.StatusForbidden:
		advice = "bind the function's service account to the ClusterRole data-storage-client in DataStorage's namespace"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		advice = "AUDIT_SINK must be the URL of DataStorage's audit events, like http://HOST/api/v1/audit/events"
	}
	return fmt.Errorf("probing DataStorage: %d to GET %s (%s): %s", status, s.url, answer, advice)
}

// probe asks for the rows of a correlation id that there is none of: DataStorage
// counts what a query finds, and without a filter that would be the whole table.
func (s *Sink) probe(ctx context.Context) (status int, answer string, err error) {
	req, err := get(s.url, url.Values{"limit": {"1"}, "correlation_id": {"onefire-readiness"}})(ctx)
	if err != nil {
		return 0, "", err
	}
	if err := s.authorize(req); err != nil {
		return 0, "", err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxNote)) // Half an answer is enough.
	return resp.StatusCode, strings.TrimSpace(string(text)), nil
}
