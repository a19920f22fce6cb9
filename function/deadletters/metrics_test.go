package deadletters

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// counts are a metric's values by its one attribute.
func counts(t *testing.T, reader sdkmetric.Reader, name string) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	values := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if m.Name != name || !ok {
				continue
			}
			for _, p := range sum.DataPoints {
				for _, a := range p.Attributes.ToSlice() {
					values[a.Value.String()] += p.Value
				}
			}
		}
	}
	return values
}

func TestEachDeadLetterIsCountedByWhatBecameOfIt(t *testing.T) {
	for reason, row := range map[string]struct {
		faults  []fault
		headers map[string]string
		body    string
		results map[string]int64
		status  string
	}{
		"kept":                   {nil, nil, `{}`, map[string]int64{"kept": 1}, "200"},
		"no API server":          {[]fault{{verb: "create", status: 500}}, nil, `{}`, map[string]int64{"unavailable": 1}, "503"},
		"no count":               {[]fault{{verb: "list", status: 500}}, nil, `{}`, map[string]int64{"unavailable": 1}, "503"},
		"invalid":                {[]fault{{verb: "create", recorded: "configmap-too-large"}}, nil, `{}`, map[string]int64{"refused": 1}, "400"},
		"too large":              {[]fault{{verb: "create", recorded: "too-large-for-the-server"}}, nil, `{}`, map[string]int64{"refused": 1}, "400"},
		"larger than is read":    {nil, nil, strings.Repeat("x", 4<<20+1), map[string]int64{"refused": 1}, "413"},
		"a batch":                {nil, map[string]string{"Content-Type": "application/cloudevents-batch+json"}, `[]`, map[string]int64{"refused": 1}, "415"},
		"no event":               {nil, map[string]string{"Ce-Id": "", "Ce-Type": "", "Ce-Source": "", "Ce-Specversion": ""}, `{}`, map[string]int64{"refused": 1}, "415"},
		"an event without an id": {nil, map[string]string{"Ce-Id": ""}, `{}`, map[string]int64{"refused": 1}, "400"},
	} {
		t.Run(reason, func(t *testing.T) {
			f, reader := fix(t), sdkmetric.NewManualReader()
			var err error
			f.metrics, err = newMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter(""), f.quota.waiting)
			require.NoError(t, err)
			f.kube.fail(row.faults...)
			f.send(row.headers, row.body)
			require.Equal(t, row.results, counts(t, reader, "onefire.deadletters.received"))
			require.Equal(t, map[string]int64{row.status: 1}, counts(t, reader, "onefire.deadletters.requests"))
		})
	}
}

// A count that fails leaves out its own metric, and no other.
func TestMetricsAreToldWithoutACount(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	m, err := newMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter(""), func(context.Context) (usage, error) { return usage{7, 7}, errors.New("away") })
	require.NoError(t, err)
	m.letter(t.Context(), kept)
	require.Equal(t, map[string]int64{"kept": 1}, counts(t, reader, "onefire.deadletters.received"))
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	require.Len(t, all.ScopeMetrics[0].Metrics, 1)
}

// failing makes some instruments, then fails once, and makes the others.
type failing struct {
	metric.Meter
	left int
}

var errNoInstrument = errors.New("no instrument")

func (f *failing) next() error {
	if f.left--; f.left == -1 {
		return errNoInstrument
	}
	return nil
}

func (f *failing) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return noop.Int64Counter{}, f.next()
}

func (f *failing) Int64ObservableGauge(string, ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	return noop.Int64ObservableGauge{}, f.next()
}

func (f *failing) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return noop.Registration{}, f.next()
}

func TestAnInstrumentThatCannotBeMadeIsAnError(t *testing.T) {
	const instruments = 5
	for made := range instruments + 1 {
		m, err := newMetrics(&failing{left: made}, func(context.Context) (usage, error) { return usage{}, nil })
		if made == instruments {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, errNoInstrument)
		require.Nil(t, m)
	}
}

// Health is that of a Knative function.
func TestHealthIsSaidByStatusAndText(t *testing.T) {
	f := fix(t)
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		routes(f.store).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	for _, row := range []struct {
		fails  bool
		path   string
		status int
		text   string
	}{
		{true, "/health/readiness", 503, "NOT READY\n"},
		{false, "/health/readiness", 200, "READY\n"},
		{false, "/health/liveness", 200, "ALIVE\n"},
		{false, "/", 405, "POST a CloudEvent\n"},
	} {
		if row.fails {
			f.kube.fail(fault{verb: "list", status: 500})
		}
		status, text := ask(row.path)
		require.Equal(t, row.status, status, row.path)
		require.Equal(t, row.text, text)
	}
}
