package telemetry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"onefire/audit"
	"onefire/config"
)

// sender posts one signal to its endpoint. It drops a message that cannot be sent, and
// reports that to failed.
type sender struct {
	url       string
	headers   map[string]string
	gzip      bool
	timeout   time.Duration
	client    *http.Client
	userAgent string
	failed    func(error)
	// life ends running posts when the process cannot wait any longer.
	life context.Context
	// ended is closed when nothing will be sent any more.
	ended      chan struct{}
	once       sync.Once
	firstPause time.Duration
}

func newSender(life context.Context, url string, o Options, client *http.Client, failed func(error)) *sender {
	return &sender{
		url: url, headers: o.OTel.Headers, gzip: o.OTel.Compression == config.CompressionGzip, timeout: time.Duration(o.OTel.Timeout),
		client: client, userAgent: o.Service + "/" + o.Version, failed: failed, life: life, ended: make(chan struct{}),
		firstPause: cmp.Or(o.firstPause, firstPause),
	}
}

// newClient makes the HTTP client of both signals.
func newClient(o config.OTel) (*http.Client, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.Certificate != "" {
		pem, err := os.ReadFile(o.Certificate)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s holds no certificate in PEM", o.Certificate)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, ForceAttemptHTTP2: true,
			MaxConnsPerHost: maxConnections, MaxIdleConnsPerHost: maxConnections, IdleConnTimeout: idleTimeout,
		},
		// The headers are only for the collector.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// The SDK calls Shutdown after the last export.
func (s *sender) Shutdown(context.Context) error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

// send posts a message until the collector has accepted it or time is up.
func (s *sender) send(ctx context.Context, message any) {
	body, err := s.encode(message)
	if err != nil {
		s.failed(err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)() //nolint:contextcheck // Whichever of the two contexts ends first.
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = s.firstPause, maxPause
	// The error of an attempt says more than the end of time in the next one.
	var last error
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		err := s.post(ctx, body)
		if last == nil || ctx.Err() == nil {
			last = err
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(s.timeout))
	if err != nil {
		s.failed(last)
	}
}

func (s *sender) encode(message any) ([]byte, error) {
	var body bytes.Buffer
	if !s.gzip {
		err := json.NewEncoder(&body).Encode(message)
		return body.Bytes(), err
	}
	packed := gzip.NewWriter(&body)
	err := errors.Join(json.NewEncoder(packed).Encode(message), packed.Close())
	return body.Bytes(), err
}

func (s *sender) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	for name, value := range s.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", s.userAgent)
	req.Header.Set("Content-Type", "application/json")
	if s.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		// The URL can contain a key, so it stays out of the log.
		if whole := (*url.Error)(nil); errors.As(err, &whole) {
			err = whole.Err
		}
		return fmt.Errorf("the collector is not available: %w", err)
	}
	defer resp.Body.Close()
	// The status decides, so an incomplete answer is enough.
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return s.check(resp, answer)
}

// check returns the error that an answer means by the OTLP specification.
func (s *sender) check(resp *http.Response, answer []byte) error {
	err := fmt.Errorf("the collector answered %d %s", resp.StatusCode, strings.ToValidUTF8(strings.TrimSpace(string(answer)), "\uFFFD"))
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return partial(answer)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if pause, ok := audit.RetryAfter(resp.Header.Get("Retry-After"), 2*s.timeout); ok {
			return fmt.Errorf("%w: %w", err, &backoff.RetryAfterError{Duration: pause})
		}
		return err
	}
	return backoff.Permanent(err)
}

// partial describes the part of an accepted message that the collector rejected.
func partial(answer []byte) error {
	var a struct {
		PartialSuccess struct {
			RejectedSpans      json.RawMessage `json:"rejectedSpans"`
			RejectedDataPoints json.RawMessage `json:"rejectedDataPoints"`
			ErrorMessage       string          `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	_ = json.Unmarshal(answer, &a) // The collector has accepted the message in any case.
	p := a.PartialSuccess
	rejected := strings.Trim(string(p.RejectedSpans)+string(p.RejectedDataPoints), `"`)
	if (rejected == "" || rejected == "0") && p.ErrorMessage == "" {
		return nil
	}
	return backoff.Permanent(fmt.Errorf("the collector rejected %s items: %s", rejected, p.ErrorMessage))
}
