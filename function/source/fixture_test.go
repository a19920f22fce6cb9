package source

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
	"go.uber.org/goleak"

	"onefire/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when every test begins.
var noon = time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)

// broker is a fake sink. It keeps what it has answered 2xx.
type broker struct {
	*httptest.Server
	mu     sync.Mutex
	posts  int
	taken  []event.Event
	answer func(e event.Event, r *http.Request) (status int, header map[string]string, body string)
}

func newBroker(t *testing.T) *broker {
	b := &broker{}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, err := binding.ToEvent(r.Context(), cehttp.NewMessageFromHttpRequest(r))
	if err != nil || e.Validate() != nil {
		panic(fmt.Sprintf("no CloudEvent came: %v %v", err, e))
	}
	b.mu.Lock()
	b.posts++
	answer := b.answer
	b.mu.Unlock()
	status, header, body := http.StatusAccepted, map[string]string(nil), ""
	if answer != nil {
		status, header, body = answer(*e, r)
	}
	if status/100 == 2 {
		b.mu.Lock()
		b.taken = append(b.taken, *e)
		b.mu.Unlock()
	}
	for k, v := range header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// answers sets what the broker answers from now on.
func (b *broker) answers(answer func(e event.Event, r *http.Request) (int, map[string]string, string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

func (b *broker) always(status int) {
	b.answers(func(event.Event, *http.Request) (int, map[string]string, string) { return status, nil, "because" })
}

// events are those that were taken since the last call, by alertname.
func (b *broker) events() []event.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.taken
	b.taken = nil
	return all
}

func (b *broker) ids() []string {
	var ids []string
	for _, e := range b.events() {
		ids = append(ids, e.ID())
	}
	return ids
}

func (b *broker) posted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.posts
}

// lines is a log, and a clock beside it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// with finds the log's lines that have a message.
func (l *lines) with(t *testing.T, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(l.String()) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		if record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

type fixture struct {
	*Source
	t    *testing.T
	web  *httptest.Server
	sink *broker
	log  *lines

	mu    sync.Mutex
	clock time.Time
}

func settings(url string) config.Source {
	return config.Source{Sink: url, Split: config.SplitAlert, Window: 30 * time.Second, DeliveryTimeout: 20 * time.Second, Watchdog: "Watchdog", LogLevel: -4}
}

// start starts a replica that sends to a broker; change may change its settings.
func start(t *testing.T, to *broker, change ...func(*config.Source)) *fixture {
	t.Helper()
	c := settings(to.URL)
	for _, f := range change {
		f(&c)
	}
	f := &fixture{t: t, sink: to, log: &lines{}, clock: noon}
	var err error
	f.Source, err = New(t.Context(), c, f.log)
	require.NoError(t, err)
	f.now = func() time.Time {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.clock
	}
	f.Source.sink.firstPause = time.Millisecond
	f.web = httptest.NewUnstartedServer(f.server.Handler)
	f.web.Config.ErrorLog = f.server.ErrorLog
	f.web.Start()
	t.Cleanup(f.web.Close)
	t.Cleanup(func() {
		f.Source.sink.client.Close()
		// It ends before a cleanup begins.
		require.NoError(t, f.telemetry.Stop(context.WithoutCancel(t.Context())))
	})
	return f
}

// at sets the clock, counted from noon.
func (f *fixture) at(after time.Duration) *fixture {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = noon.Add(after)
	return f
}

// post posts a webhook as Alertmanager does.
func (f *fixture) post(body string) (status int, answer string) {
	f.t.Helper()
	resp, err := f.web.Client().Post(f.web.URL+"/alertmanager", "application/json", strings.NewReader(body))
	require.NoError(f.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func (f *fixture) requireStatus(want int, body string) string {
	f.t.Helper()
	status, answer := f.post(body)
	require.Equal(f.t, want, status, answer)
	return answer
}

// firing is an alert that began some time after 11:00, with labels as
// "name=value".
func firing(began time.Duration, labels ...string) string { return alertOf("firing", began, labels...) }

func alertOf(status string, began time.Duration, labels ...string) string {
	all := map[string]string{}
	for _, l := range labels {
		name, value, _ := strings.Cut(l, "=")
		all[name] = value
	}
	text, _ := json.Marshal(all)
	end := "0001-01-01T00:00:00Z"
	if status == "resolved" {
		end = noon.Format(time.RFC3339Nano)
	}
	return fmt.Sprintf(`{"status":%q,"labels":%s,"annotations":{"summary":"s"},"startsAt":%q,"endsAt":%q,"generatorURL":"http://prometheus/graph"}`,
		status, text, noon.Add(began-time.Hour).Format(time.RFC3339Nano), end)
}

// hook is a webhook of some Alertmanager.
func hook(alerts ...string) string { return hookFrom("http://alertmanager-0", alerts...) }

func hookFrom(externalURL string, alerts ...string) string {
	return fmt.Sprintf(`{"receiver":"onefire\\.eu","status":"firing","alerts":[%s],"groupLabels":{"alertname":"A"},"commonLabels":{},"commonAnnotations":{},"externalURL":%q,"version":"4","groupKey":"{}:{alertname=\"A\"}","truncatedAlerts":0}`,
		strings.Join(alerts, ","), externalURL)
}

// underWay tells whether at least n webhooks are.
func (f *fixture) underWay(n int64) bool {
	if f.requests.TryAcquire(maxRequests - n + 1) {
		f.requests.Release(maxRequests - n + 1)
		return false
	}
	return true
}
