package audit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/otel/trace"
)

// Client is how Onefire delivers an event over HTTP, and what each answer means. A
// [Sink] delivers audit events with one, the source its events, and a replay of dead
// letters theirs. Any number of goroutines may use it.
type Client struct {
	options ClientOptions
	http    *http.Client
	token   *token
}

// ClientOptions say whom a client talks to.
type ClientOptions struct {
	// Name is what errors call the server, such as "the audit sink".
	Name string
	// TokenFile holds a bearer token; empty for none. It is read for each request, or,
	// with a TokenAge, when the token is older than that or was refused.
	TokenFile string
	TokenAge  time.Duration
	// CAFile and CACerts hold certificates in PEM that are trusted beside the
	// system's.
	CAFile  string
	CACerts string
	// Retried are statuses that pass, beside those that do so everywhere.
	Retried []int
	// MaxShown is how much of an answer stands in an error, in bytes; 0 for all that
	// is read of it.
	MaxShown int
	// MaxConnections bounds the connections, 0 for no bound, and MaxIdle is how many
	// are kept open between requests.
	MaxConnections, MaxIdle int
	// ConnectTimeout bounds a connection's making, and its TLS handshake, and PingAfter
	// is when a silent HTTP/2 connection is asked whether it lives; 0 for neither.
	ConnectTimeout, PingAfter time.Duration
}

// NewClient makes a client. It opens no connection.
func NewClient(o ClientOptions) (*Client, error) {
	certificates, err := certificates(o.CAFile, o.CACerts)
	if err != nil {
		return nil, err
	}
	return &Client{options: o, token: &token{file: o.TokenFile, age: o.TokenAge}, http: &http.Client{
		Transport: deferred(sync.OnceValue(func() *http.Transport { return newTransport(o, roots(certificates)) })),
		// A redirected POST would arrive as a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Wrap puts a transport around the client's own. It must be before the first request.
func (c *Client) Wrap(wrap func(http.RoundTripper) http.RoundTripper) {
	c.http.Transport = wrap(c.http.Transport)
}

// Close closes the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request makes a request anew for each try.
type Request func(ctx context.Context) (*http.Request, error)

// Retry bounds the tries of one delivery.
type Retry struct {
	Tries uint
	// FirstPause and MaxPause bound the jittered pauses between tries. A try begins no
	// later than MaxElapsed after the first; 0 for no bound. Where there is none, a
	// server that asks for more than MaxPause gets no more.
	FirstPause, MaxPause, MaxElapsed time.Duration
	// Timeout bounds one try, if the context does not; 0 for no bound.
	Timeout time.Duration
}

// Deliver sends a request until it is taken, within the bounds and the context. A
// [RefusedError], and an [UnavailableError] that is permanent, mean that trying again is
// of no use now. The error is that of the last try, which says more than that time ran
// out. The context's span, if it is recorded, notes each try.
func (c *Client) Deliver(ctx context.Context, make Request, r Retry) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = r.FirstPause, r.MaxPause
	tries := 0
	var last error
	// The error that the library returns is the last one, or says less.
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		var status int
		status, last = c.try(ctx, make, r.Timeout)
		tries++
		note(trace.SpanFromContext(ctx), tries, status, last)
		return struct{}{}, r.next(last)
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(r.Tries), backoff.WithMaxElapsedTime(r.MaxElapsed))
	return last // The error of Retry is the same, or says less.
}

// next is what the library is told of a try: when to try again, and nothing where that is
// of no use.
func (r Retry) next(err error) error {
	var no *UnavailableError
	switch {
	case !errors.As(err, &no) || no.Permanent:
		return nil
	case no.pause < 0:
		return err
	case r.MaxElapsed == 0:
		return &backoff.RetryAfterError{Duration: min(no.pause, r.MaxPause)}
	}
	return &backoff.RetryAfterError{Duration: no.pause}
}

// try makes one try of a delivery.
func (c *Client) try(ctx context.Context, make Request, limit time.Duration) (status int, err error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return c.exchange(ctx, make, nil)
}

// exchange sends a request, once more when a renewed token may help, and judges the
// answer; read reads that of a success.
func (c *Client) exchange(ctx context.Context, make Request, read func(io.Reader) error) (status int, err error) {
	status, err = c.once(ctx, make, read)
	if status == http.StatusUnauthorized && c.token.forget() {
		status, err = c.once(ctx, make, read)
	}
	return status, err
}

func (c *Client) once(ctx context.Context, make Request, read func(io.Reader) error) (status int, err error) {
	resp, err := c.Do(ctx, make)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && read != nil {
		switch err := read(resp.Body); {
		case errors.Is(err, errLarge): // It says nothing about the sink.
			return resp.StatusCode, err
		case err != nil:
			return resp.StatusCode, &UnavailableError{By: c.options.Name, Status: resp.StatusCode, err: err, pause: -1}
		}
	}
	// Half an answer is enough: its status says what became of the event.
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, c.judge(resp, short(string(answer), c.options.MaxShown))
}

// Do sends a request with the token, once, and returns any answer. Without one it
// fails with an [UnavailableError], or as make does.
func (c *Client) Do(ctx context.Context, make Request) (*http.Response, error) {
	var dialled, connected atomic.Bool
	req, err := make(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { dialled.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	if err != nil {
		return nil, err
	}
	if err := c.token.show(req); err != nil {
		return nil, &UnavailableError{By: c.options.Name, err: err, unsent: true, pause: -1}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != ctx.Err() { //nolint:errorlint // It asks whether somebody gave a cause, which says more.
			err = cause
		}
		return nil, &UnavailableError{By: c.options.Name, err: err, unsent: dialled.Load() && !connected.Load(), pause: -1}
	}
	return resp, nil
}
