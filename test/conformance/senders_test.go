package conformance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/config"
	"onefire/function/deadletters"
	"onefire/function/source"
)

// outcome is what a sender takes a delivery for.
type outcome string

const (
	delivered outcome = "delivered"
	refused   outcome = "refused for good"
	later     outcome = "to be sent again"
)

// senders are all that send events, by the names that the table has. Each sends
// one event to a URL.
var senders = map[string]func(t *testing.T, url string) outcome{"source": fromSource, "audit sink": fromAudit, "replay": fromReplay}

// sink gives its answers one by one, and the last for ever; status 0 ends the
// connection.
type sink struct {
	*httptest.Server

	mu      sync.Mutex
	answers []reply
	got     []received
}

type reply struct {
	status int
	header map[string]string
	body   string
}

// received is a request, and the event in it.
type received struct {
	method string
	header http.Header
	event  *event.Event
	err    error
	at     time.Time
}

func startSink(t *testing.T, answers ...reply) *sink {
	s := &sink{answers: answers}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func statuses(codes ...int) (all []reply) {
	for _, code := range codes {
		all = append(all, reply{status: code})
	}
	return all
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := received{method: r.Method, header: r.Header, at: time.Now()}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	got.event, got.err = binding.ToEvent(r.Context(), cehttp.NewMessage(r.Header, io.NopCloser(bytes.NewReader(body))))
	if got.err == nil {
		got.err = got.event.Validate()
	}
	s.mu.Lock()
	answer := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	s.got = append(s.got, got)
	s.mu.Unlock()
	if answer.status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, value := range answer.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

func (s *sink) seen() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

// fromSource gives the source a webhook with one alert.
func fromSource(t *testing.T, url string) outcome {
	t.Helper()
	c, err := config.LoadSource(map[string]string{"K_SINK": url, "LOG_LEVEL": "error"})
	require.NoError(t, err)
	s, err := source.New(t.Context(), c, io.Discard)
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	defer func() {
		require.NoError(t, s.Stop(context.WithoutCancel(t.Context())))
		require.NoError(t, <-served)
	}()
	body := `{"version":"4","groupKey":"{}","receiver":"r","status":"firing","alerts":[{"status":"firing",
		"labels":{"alertname":"Café","severity":"critical","namespace":"shop","pod":"api-0"},"startsAt":"2026-01-02T03:04:05Z"}]}`
	// No connection is kept: the port may soon be another source's.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post("http://"+listener.Addr().String()+"/alertmanager", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	switch resp.StatusCode / 100 {
	case 2:
		return delivered
	case 4:
		return refused
	default:
		return later // Alertmanager sends the webhook again.
	}
}

// fromAudit delivers one audit event.
func fromAudit(t *testing.T, url string) outcome {
	t.Helper()
	s, err := audit.New(audit.Options{URL: url})
	require.NoError(t, err)
	defer s.Close()
	err = s.Deliver(t.Context(), []audit.Event{{
		Source: "urn:onefire:alertmanager:r", ID: "1", Alert: "0f3a", Type: "gateway.signal.received", Time: time.Now(),
		Subject: "rr-0123456789ab-01234567", PartitionKey: "0123456789abcdef", Data: map[string]any{"alert": "Café"},
	}})[0]
	var no *audit.RefusedError
	switch {
	case err == nil:
		return delivered
	case errors.As(err, &no):
		return refused
	default:
		return later // The event that it is about is not acknowledged.
	}
}

// fromReplay keeps a dead letter and replays it.
func fromReplay(t *testing.T, url string) outcome {
	t.Helper()
	store := startStore(t)
	require.Equal(t, http.StatusOK, store.send(t, binary(t, "1", map[string]string{"Ce-Knativeerrorcode": "503"})).status)
	c, err := config.LoadDeadLetters(map[string]string{"KUBECONFIG": store.letters.kubeconfig(t), "REPLAY_URL": url})
	require.NoError(t, err)
	var said bytes.Buffer
	err = deadletters.Run(t.Context(), c, []string{"replay", "all"}, &said, io.Discard)
	if store.effects(t) == 0 {
		require.NoError(t, err)
		return delivered
	}
	require.Error(t, err)
	return later // It stays, whether it was refused or not, until somebody replays or deletes it.
}
