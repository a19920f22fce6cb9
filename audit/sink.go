package audit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// RefusedError means that the sink will never take this event, however often it
// is sent.
type RefusedError struct {
	// Status is the sink's HTTP status; zero when the event could not even
	// be built.
	Status int
	// Answer is the sink's answer, cut.
	Answer string
	// Event is the whole CloudEvent in its JSON format, to be sent again once
	// the sink has learned to take it; only its data if it could not be built.
	Event json.RawMessage
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the audit sink refused the event for good: %d %s", e.Status, e.Answer)
}

// Options say where audit events go.
type Options struct {
	// URL is posted to as it is.
	URL string
	// TokenFile holds a bearer token; empty for none. It is read again when
	// the token was refused and at least every minute.
	TokenFile string
	// CAFile and CACerts hold certificates in PEM that are trusted beside the
	// system's.
	CAFile  string
	CACerts string
	// Extensions are set on every event.
	Extensions map[string]string
}

// Sink delivers audit events. Any number of goroutines may use it.
type Sink struct {
	url        string
	client     *http.Client
	extensions map[string]string
	token      token
	// firstPause is the constant of that name, but for tests.
	firstPause time.Duration
}

// New makes a sink. It opens no connection.
func New(o Options) (*Sink, error) {
	certificates, err := certificates(o.CAFile, o.CACerts)
	if err != nil {
		return nil, err
	}
	return &Sink{
		url:        o.URL,
		extensions: o.Extensions,
		token:      token{file: o.TokenFile},
		firstPause: firstPause,
		client: &http.Client{
			Transport: deferred(sync.OnceValue(func() *http.Transport { return newTransport(roots(certificates)) })),
			// A redirected POST would arrive as a GET.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// deferred is a transport that is made when it is first used: reading the
// system's certificates takes longer than all else that a start has to do.
type deferred func() *http.Transport

func (d deferred) RoundTrip(r *http.Request) (*http.Response, error) { return d().RoundTrip(r) }

func (d deferred) CloseIdleConnections() { d().CloseIdleConnections() }

func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{
			RootCAs:    roots,
			MinVersion: tls.VersionTLS12,
			// An HTTP/1.1 sink is talked to over many connections; only the
			// first one has to pay for a whole handshake.
			ClientSessionCache: tls.NewLRUClientSessionCache(maxSessions),
		},
		ForceAttemptHTTP2:   true,
		MaxConnsPerHost:     maxConnections,
		MaxIdleConnsPerHost: maxConnections,
		IdleConnTimeout:     idleTimeout,
	}
}

// certificates reads what is trusted beside the system's certificates.
func certificates(file, certs string) ([]byte, error) {
	if certs != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(certs)) {
		return nil, errors.New("K_CA_CERTS holds no certificate in PEM")
	}
	if file == "" {
		return []byte(certs), nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the audit sink's CA: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("AUDIT_CA_FILE: %s holds no certificate in PEM", file)
	}
	return slices.Concat(pem, []byte("\n"), []byte(certs)), nil
}

// roots is nil, which means the system's, when no certificates are given.
func roots(certificates []byte) *x509.CertPool {
	if len(certificates) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(certificates)
	return pool
}

// Close closes idle connections.
func (s *Sink) Close() { s.client.CloseIdleConnections() }

// Deliver sends one event until the sink has taken it, within the bounds of
// limits.go and the context. A [RefusedError] means that trying again is of no
// use; after any other error it is.
func (s *Sink) Deliver(ctx context.Context, e Event) error {
	out, err := e.cloudEvent(s.extensions)
	if err != nil {
		data, _ := json.Marshal(e.Data) // What is no JSON is in the error.
		return &RefusedError{Answer: err.Error(), Event: data}
	}
	ctx, cancel := context.WithTimeout(ctx, maxElapsed)
	defer cancel()
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = s.firstPause, maxPause
	// The last attempt's error says more than that time ran out.
	var last error
	tries := 0
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		var status int
		status, last = s.attempt(ctx, out)
		tries++
		note(ctx, tries, status, last)
		return struct{}{}, last
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(maxAttempts), backoff.WithMaxElapsedTime(maxElapsed))
	if err == nil {
		return nil
	}
	var refused *RefusedError
	if errors.As(last, &refused) {
		refused.Event, _ = json.Marshal(out) // It was valid when it was made.
	}
	return fmt.Errorf("delivering audit event %s (%s): %w", out.ID(), e.Type, last)
}

// attempt posts the event once, and once more when a renewed token may help.
func (s *Sink) attempt(ctx context.Context, e event.Event) (status int, err error) {
	status, err = s.post(ctx, e)
	if status == http.StatusUnauthorized && s.token.file != "" {
		s.token.forget()
		status, err = s.post(ctx, e)
	}
	return status, err
}

func (s *Sink) post(ctx context.Context, e event.Event) (status int, err error) {
	// The client's own timeout would take two goroutines more for each request.
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := cehttp.NewHTTPRequestFromEvent(ctx, s.url, e)
	if err != nil {
		return 0, backoff.Permanent(&RefusedError{Answer: err.Error()})
	}
	if parent, ok := e.Extensions()["traceparent"].(string); ok {
		req.Header.Set("Traceparent", parent) // For who traces requests and knows no events.
	}
	switch bearer, err := s.token.read(); {
	case err != nil:
		return 0, fmt.Errorf("reading the audit sink's token: %w", err)
	case bearer != "":
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("the audit sink is not available: %w", err)
	}
	defer resp.Body.Close()
	// Half an answer is enough: its status says what became of the event.
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, judge(resp, strings.TrimSpace(string(answer)))
}

// judge says what an answer means: taken, refused for good, or not available.
// What an operator can put right, like a wrong path or missing rights, is not
// available: the event is worth keeping until then.
func judge(resp *http.Response, answer string) error {
	code := resp.StatusCode
	unavailable := fmt.Errorf("the audit sink is not available: %d %s", code, answer)
	switch {
	case code/100 == 2:
		return nil
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly || code/100 == 5:
		if pause, ok := retryAfter(resp.Header.Get("Retry-After")); ok {
			return fmt.Errorf("%w: %w", unavailable, &backoff.RetryAfterError{Duration: pause})
		}
		return unavailable
	case code == http.StatusUnauthorized || code == http.StatusPaymentRequired || code == http.StatusForbidden ||
		code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code == http.StatusProxyAuthRequired ||
		code/100 != 4:
		return backoff.Permanent(unavailable)
	}
	return backoff.Permanent(&RefusedError{Status: code, Answer: answer})
}

// retryAfter reads seconds or a date.
func retryAfter(header string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(header, 10, 64); err == nil {
		// Beyond our bound it does not matter how far.
		return time.Duration(min(n, uint64(2*maxElapsed/time.Second))) * time.Second, true
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(time.Until(t), 0), true
	}
	return 0, false
}

// Ready tells whether the sink can be reached. Any answer will do: sinks differ
// in what they say to a HEAD.
func (s *Sink) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
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

// token is a bearer token that is kept in a file by someone else.
type token struct {
	file string

	mu    sync.Mutex
	value string
	since time.Time
}

func (t *token) read() (string, error) {
	if t.file == "" {
		return "", nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && time.Since(t.since) < tokenAge {
		return t.value, nil
	}
	b, err := os.ReadFile(t.file)
	if err != nil {
		return "", err
	}
	if t.value, t.since = strings.TrimSpace(string(b)), time.Now(); t.value == "" {
		return "", fmt.Errorf("%s is empty", t.file)
	}
	return t.value, nil
}

func (t *token) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value = ""
}
