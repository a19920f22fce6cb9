package audit

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample is an event with everything in it.
func sample() Event {
	return Event{
		Source:       "alertmanager",
		ID:           "incoming-1",
		Alert:        "0f3a",
		Type:         "gateway.signal.received",
		Time:         time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC),
		Subject:      "rr-0123456789ab-01234567",
		PartitionKey: "0123456789abcdef",
		Traceparent:  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Data:         map[string]any{"version": "1.0", "event_data": map[string]any{"alert_name": "KubePod <&> \u00e4"}},
	}
}

// open makes a sink that pauses for no time worth speaking of, and that does not
// take a busy machine for a hanging sink.
func open(t *testing.T, o Options) *Sink {
	t.Helper()
	s, err := New(o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	s.pace.pauses.InitialInterval = time.Microsecond
	s.pace.pauses.Reset()
	return s
}

// one delivers one event.
func one(ctx context.Context, s *Sink, e Event) error { return s.Deliver(ctx, []Event{e})[0] }

// others counts the events that [another] made.
var others atomic.Int64

// another is an event like no other before it: an event that was accepted is not
// sent again.
func another() Event {
	e := sample()
	e.Alert = "another " + strconv.FormatInt(others.Add(1), 10)
	return e
}

// answer is one answer of a fake sink.
type answer func(w http.ResponseWriter, r *http.Request)

// status answers with headers, given as name and value by turns.
func status(code int, headers ...string) answer { return says(code, "", headers...) }

func says(code int, body string, headers ...string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// drop ends the connection without an answer.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// received is a request as the fake sink saw it.
type received struct {
	method, path, query, proto string
	header                     http.Header
	body                       []byte
}

// fake is a sink that gives its answers one by one, and the last for ever.
type fake struct {
	*httptest.Server
	// connections is how many were accepted.
	connections atomic.Int64

	mu       sync.Mutex
	answers  []answer
	requests []received
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // The client has gone.
	}
	f.mu.Lock()
	next := f.answers[0]
	if len(f.answers) > 1 {
		f.answers = f.answers[1:]
	}
	f.requests = append(f.requests, received{r.Method, r.URL.Path, r.URL.RawQuery, r.Proto, r.Header, body})
	f.mu.Unlock()
	next(w, r)
}

// seen are the requests so far.
func (f *fake) seen() []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// unstarted is a fake sink that does not serve yet.
func unstarted(t *testing.T, answers ...answer) *fake {
	f := &fake{answers: answers}
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			f.connections.Add(1)
		}
	}
	t.Cleanup(f.Close)
	return f
}

// serve starts a fake sink.
func serve(t *testing.T, answers ...answer) *fake {
	f := unstarted(t, answers...)
	f.Start()
	return f
}

// transport is a network of one function: with it a test can run on a clock of
// its own.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// over makes a sink at the end of such a network; it pauses as in production.
func over(t *testing.T, network transport) *Sink {
	t.Helper()
	s, err := New(Options{URL: "http://sink.test/events"})
	require.NoError(t, err)
	s.client.http.Transport = network
	t.Cleanup(s.Close)
	return s
}

// plays gives answers one by one, and the last for ever; times are when each was asked for.
func plays(times *[]time.Time, answers ...answer) transport {
	return func(r *http.Request) (*http.Response, error) {
		next := answers[min(len(*times), len(answers)-1)]
		*times = append(*times, time.Now())
		w := httptest.NewRecorder()
		next(w, r)
		return w.Result(), nil
	}
}

// hangs answers only when the client has given up.
func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}
