package function

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"onefire/audit"
	"onefire/config"
	"onefire/dedup"
	"onefire/function/telemetry"
	"onefire/mapping"
)

// noon is the time in every test that asks for one.
var noon = time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)

// pass lets time go by within synctest.Test, where the clock is the test's own.
func pass(d time.Duration) {
	time.Sleep(d) // In a bubble of synctest this only moves its clock on; nothing waits.
}

// fakeDedup answers as its functions say; without one, every key is new.
type fakeDedup struct {
	settle  func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error)
	resolve func(s mapping.Signal, at time.Time) (dedup.Outcome, error)
	ready   func() error
	// recorded are the keys that were counted before.
	recorded map[string]dedup.Outcome
	closed   bool
}

func (f *fakeDedup) Recall(_ context.Context, _ mapping.Signal, keys []string) ([]dedup.Outcome, error) {
	out := make([]dedup.Outcome, len(keys))
	for i, key := range keys {
		var known bool
		if out[i], known = f.recorded[key]; !known {
			out[i].Reason = mapping.TooOld
		}
	}
	return out, nil
}

func (f *fakeDedup) Forecast(_ context.Context, s mapping.Signal, key string, resolved bool) (dedup.Outcome, error) {
	if o, known := f.recorded[key]; known && !resolved {
		return o, nil
	}
	return dedup.FirstForecast(s, resolved), nil
}

func (f *fakeDedup) Settle(ctx context.Context, s mapping.Signal, keys []string, _ map[string]mapping.Signal) ([]dedup.Outcome, error) {
	if f.settle != nil {
		return f.settle(ctx, s, keys)
	}
	out := make([]dedup.Outcome, len(keys))
	for i := range keys {
		out[i] = dedup.Outcome{Reason: mapping.FirstSeen, Name: "rr-" + s.Name, Count: int32(i + 1)}
		if i > 0 {
			out[i].Reason = mapping.Active
		}
	}
	return out, nil
}

func (f *fakeDedup) Resolve(_ context.Context, signals []mapping.Signal) ([]dedup.Outcome, error) {
	out := make([]dedup.Outcome, len(signals))
	for i, s := range signals {
		out[i] = dedup.Outcome{Reason: mapping.ResolvedNothing}
		if f.resolve == nil {
			continue
		}
		var err error
		if out[i], err = f.resolve(s, s.EndedAt); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *fakeDedup) Ready(context.Context, string) error {
	if f.ready != nil {
		return f.ready()
	}
	return nil
}

// fakeSink keeps what is delivered, unless fail says otherwise.
type fakeSink struct {
	fail func(e audit.Event) error
	// before is called once for each delivery.
	before func()
	ready  func() error

	mu     sync.Mutex
	events []audit.Event
}

func (f *fakeSink) Deliver(_ context.Context, events []audit.Event) []error {
	if f.before != nil {
		f.before()
	}
	errs := make([]error, len(events))
	for i, e := range events {
		if f.fail != nil {
			errs[i] = f.fail(e)
		}
		if errs[i] == nil {
			f.mu.Lock()
			f.events = append(f.events, e)
			f.mu.Unlock()
		}
	}
	return errs
}

func (f *fakeSink) Send(ctx context.Context, events []audit.Event) (wait func() []error) {
	return func() []error { return f.Deliver(ctx, events) }
}

func (f *fakeSink) Ready(context.Context) error {
	if f.ready != nil {
		return f.ready()
	}
	return nil
}

func (f *fakeSink) Close() {}

func (f *fakeDedup) Close() { f.closed = true }

// ids are the ids of the delivered events, as they would go out.
func (f *fakeSink) ids() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := map[string]string{}
	for _, e := range f.events {
		ids[audit.EventID(e.Source, e.ID, e.Alert, e.Type)] = e.Type
	}
	return ids
}

// fixture is a started function with fakes beneath it.
type fixture struct {
	*Function
	dedup   *fakeDedup
	sink    *fakeSink
	log     *strings.Builder
	service *service
}

func newFixture() *fixture {
	f := &fixture{Function: New(), dedup: &fakeDedup{}, sink: &fakeSink{}, log: &strings.Builder{}}
	c := config.Config{Namespace: "ns", AuditMode: config.AuditRequired, AuditSchema: mapping.Schema202608,
		IgnoreAlerts: []string{"Watchdog"}, IgnoreSeverities: []string{"none"}}
	unwatched, err := telemetry.Start(context.Background(), telemetry.Options{})
	if err != nil {
		panic(err)
	}
	uncounted, err := newMetrics(unwatched.Meter())
	if err != nil {
		panic(err)
	}
	o := &observer{log: slog.New(slog.NewJSONHandler(&locked{w: f.log}, nil)), metrics: uncounted}
	f.service = &service{
		admission: admission{observer: o}, observer: o, telemetry: unwatched, namespace: c.Namespace,
		pipeline: &pipeline{
			rules: c.Rules(), requests: f.dedup, observer: o, slots: semaphore.NewWeighted(maxSlots),
			audit: reporter{sink: f.sink, mode: c.AuditMode, late: semaphore.NewWeighted(maxLate), observer: o},
		},
	}
	f.clock(func() time.Time { return noon })
	f.Function.service.Store(f.service)
	return f
}

// clock makes it this late.
func (f *fixture) clock(now func() time.Time) {
	f.service.pipeline.now, f.service.observer.now = now, now
}

type locked struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.String()
}

// binary is a request with a CloudEvent in binary mode.
func binary(id, data string) *http.Request {
	r := replayable(httptest.NewRequest(http.MethodPost, "/", strings.NewReader(data)), data)
	r.Header.Set("Ce-Specversion", "1.0")
	r.Header.Set("Ce-Type", "test")
	r.Header.Set("Ce-Source", "/test")
	r.Header.Set("Ce-Id", id)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// typed is a request with a body of that type.
func typed(contentType, body string) *http.Request {
	r := replayable(httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), body)
	r.Header.Set("Content-Type", contentType)
	return r
}

func (f *fixture) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// alert is one alert in JSON, with labels as "name=value".
func alert(status string, labels ...string) string {
	var b strings.Builder
	for i, l := range labels {
		name, value, _ := strings.Cut(l, "=")
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(`"` + name + `":"` + value + `"`)
	}
	return `{"status":"` + status + `","labels":{` + b.String() + `},"startsAt":"2026-01-17T11:00:00Z","endsAt":"2026-01-17T11:30:00Z"}`
}

func webhook(alerts ...string) string {
	return `{"version":"4","alerts":[` + strings.Join(alerts, ",") + `]}`
}

func requireStatus(t *testing.T, want int, w *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, want, w.Code, w.Body.String())
}
