package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"onefire/function/bearer"
	"onefire/function/tracing"
)

// RefusedError means that the sink will never take this event, however often it
// is sent.
type RefusedError struct {
	// Status is the sink's HTTP status, or the one that it would answer with.
	Status int
	// Answer is the sink's answer, cut.
	Answer string
	// Event is the whole CloudEvent in its JSON format.
	Event json.RawMessage
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the sink refused the event for good: %d %s", e.Status, e.Answer)
}

// sink delivers events. Any number of goroutines may use it.
type sink struct {
	url        string
	extensions map[string]string
	client     *http.Client
	// tokenFile holds a bearer token for the sink; empty for none.
	tokenFile string
	// firstPause is the constant of that name, but for tests.
	firstPause time.Duration
}

// newSink makes a sink. It opens no connection.
func newSink(url, certificates string, extensions map[string]string) (*sink, error) {
	var roots *x509.CertPool // Nil means the system's.
	if certificates != "" {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM([]byte(certificates)) {
			return nil, errors.New("K_CA_CERTS holds no certificate in PEM")
		}
	}
	return &sink{
		url:        url,
		extensions: extensions,
		firstPause: firstPause,
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
				TLSHandshakeTimeout: connectTimeout,
				TLSClientConfig: &tls.Config{
					RootCAs:            roots,
					MinVersion:         tls.VersionTLS12,
					ClientSessionCache: tls.NewLRUClientSessionCache(maxSessions),
				},
				ForceAttemptHTTP2:   true,
				HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
				MaxIdleConnsPerHost: maxIdle,
				IdleConnTimeout:     sinkIdle,
			},
			// A redirected POST would arrive as a GET.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (s *sink) close() { s.client.CloseIdleConnections() }

// deliver sends one event until the sink has taken it, at most attempts times,
// within the bounds of limits.go and the context. A [RefusedError] means that
// trying again is of no use; after any other error it is.
func (s *sink) deliver(ctx context.Context, e event.Event, attempts uint) error {
	for name, value := range s.extensions {
		e.SetExtension(name, value)
	}
	if len(e.Data()) > maxEvent {
		return refused(e, http.StatusRequestEntityTooLarge, fmt.Sprintf("its %d bytes are more than the %d that the function takes", len(e.Data()), maxEvent))
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = s.firstPause, maxPause
	// The last attempt's error says more than that time ran out.
	var last error
	tries := 0
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		var status int
		status, last = s.post(ctx, e)
		tries++
		tried(ctx, tries, status, last)
		return struct{}{}, last
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(attempts), backoff.WithMaxElapsedTime(maxElapsed))
	return last
}

func (s *sink) post(ctx context.Context, e event.Event) (status int, err error) {
	req, err := cehttp.NewHTTPRequestFromEvent(ctx, s.url, e)
	if err != nil {
		return 0, backoff.Permanent(refused(e, http.StatusBadRequest, err.Error()))
	}
	for name, value := range e.Extensions() {
		req.Header.Set("Ce-"+name, headerValue(fmt.Sprint(value)))
	}
	if parent := tracing.Parse(fmt.Sprint(e.Extensions()["traceparent"])); parent.IsValid() {
		// The first hop's is the event's own: a Broker goes on from there.
		req.Header.Set("Traceparent", tracing.Format(parent))
	}
	if err := bearer.Set(req, s.tokenFile); err != nil {
		return 0, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return 0, fmt.Errorf("the sink is not available: %w", err)
	}
	defer resp.Body.Close()
	// Half an answer is enough: its status says what became of the event.
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, judge(resp, e, short(string(answer)))
}

// judge says what an answer means: taken, refused for good, or not available.
// What an operator can put right, like a wrong path or missing rights, is not
// available: the event is worth keeping until then.
func judge(resp *http.Response, e event.Event, answer string) error {
	code := resp.StatusCode
	unavailable := fmt.Errorf("the sink is not available: %d %s", code, answer)
	switch {
	case code/100 == 2:
		return nil
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly ||
		code == http.StatusConflict || code/100 == 5:
		if pause, ok := pauseOf(resp.Header.Get("Retry-After")); ok {
			return fmt.Errorf("%w: %w", unavailable, &backoff.RetryAfterError{Duration: pause})
		}
		return unavailable
	case code == http.StatusUnauthorized || code == http.StatusPaymentRequired || code == http.StatusForbidden ||
		code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code == http.StatusProxyAuthRequired ||
		code/100 != 4:
		return backoff.Permanent(unavailable)
	}
	return backoff.Permanent(refused(e, code, answer))
}

func refused(e event.Event, status int, answer string) *RefusedError {
	whole, _ := json.Marshal(e) // It was valid when it was made.
	return &RefusedError{Status: status, Answer: answer, Event: whole}
}

// pauseOf reads a Retry-After: seconds or a date.
func pauseOf(header string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(header, 10, 64); err == nil {
		// Beyond our bound it does not matter how far.
		return time.Duration(min(n, uint64(2*maxElapsed/time.Second))) * time.Second, true
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(time.Until(t), 0), true
	}
	return 0, false
}

// short is an answer as it may stand in a message.
func short(answer string) string {
	answer = strings.TrimSpace(answer)
	if len(answer) > maxAnswerShown {
		answer = answer[:maxAnswerShown] + "…"
	}
	return strings.ToValidUTF8(answer, "")
}

// unreachable tells whether an error means that nobody can be reached there, as
// against an answer to this event.
func unreachable(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}
