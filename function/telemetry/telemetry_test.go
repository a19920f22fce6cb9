package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"onefire/config"
)

func TestWhatIsCountedIsServedUntilStop(t *testing.T) {
	address := freeAddress(t)
	all := start(t, Options{Service: "onefire", Version: "v1.2.3", Address: address})
	counter, err := all.Meter().Int64Counter("onefire.things")
	require.NoError(t, err)
	counter.Add(t.Context(), 3)
	status, body := get(t, "http://"+address+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "onefire_things_total 3\n")
	require.Contains(t, body, `onefire_build_info{go_version="`+runtime.Version()+`",version="v1.2.3"} 1`+"\n")
	_, body = get(t, "http://"+address+"/metrics")
	require.NotContains(t, body, "failures", "a scrape is no failure")
	status, _ = get(t, "http://"+address+"/")
	require.Equal(t, http.StatusNotFound, status)
	_, span := all.Tracer().Start(t.Context(), "x")
	require.False(t, span.IsRecording(), "traces go nowhere")

	_, err = Start(t.Context(), Options{Address: address})
	require.ErrorContains(t, err, "METRICS_ADDRESS: ", "the address is taken")
	require.NoError(t, all.Stop(t.Context()))
	status, _ = get(t, "http://"+address+"/metrics")
	require.Zero(t, status)
}

func TestWithoutAnAddressAndAnEndpointNothingIsStarted(t *testing.T) {
	before := runtime.NumGoroutine()
	all, err := Start(t.Context(), Options{Service: "onefire"})
	require.NoError(t, err)
	counter, err := all.Meter().Int64Counter("onefire.things")
	require.NoError(t, err)
	require.False(t, counter.Enabled(t.Context()))
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	_, span := all.Tracer().Start(trace.ContextWithRemoteSpanContext(t.Context(), parent), "x")
	require.False(t, span.IsRecording())
	require.Equal(t, parent.TraceID(), span.SpanContext().TraceID(), "the sender's trace goes on")
	require.Equal(t, before, runtime.NumGoroutine())
	require.NoError(t, all.Stop(t.Context()))
}

func TestStopSendsWhatIsLeft(t *testing.T) {
	for name, compression := range map[string]config.Compression{"plain": config.CompressionNone, "gzip": config.CompressionGzip} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t, nil)
			o, logged := options(c.URL)
			o.OTel.Compression = compression
			o.OTel.Headers = config.Headers{"Authorization": "Bearer secret", "X-Tenant": "ops"}
			o.OTel.Resource = config.Attributes{"team": "sre", "k8s.pod.name": "another"}
			all := start(t, o)
			counter, err := all.Meter().Int64Counter("onefire.things")
			require.NoError(t, err)
			counter.Add(t.Context(), 3)
			_, span := all.Tracer().Start(t.Context(), "settle")
			span.End()
			require.Empty(t, c.got())
			require.NoError(t, all.Stop(t.Context()))

			got := map[string]request{}
			for _, r := range c.got() {
				got[r.path] = r
				require.Equal(t, "application/json", r.header.Get("Content-Type"))
				require.Equal(t, "Bearer secret", r.header.Get("Authorization"))
				require.Equal(t, "ops", r.header.Get("X-Tenant"))
				require.Equal(t, map[string]string{"plain": "", "gzip": "gzip"}[name], r.header.Get("Content-Encoding"))
				require.Equal(t, "onefire/v1.2.3", r.header.Get("User-Agent"))
			}
			require.Len(t, got, 2)
			spans := got["/v1/traces"].body["resourceSpans"].([]any)[0].(map[string]any)
			metrics := got["/v1/metrics"].body["resourceMetrics"].([]any)[0].(map[string]any)
			require.Equal(t, spans["resource"], metrics["resource"], "they are of one process")
			attributes := map[string]any{}
			for _, a := range spans["resource"].(map[string]any)["attributes"].([]any) {
				attributes[a.(map[string]any)["key"].(string)] = a.(map[string]any)["value"].(map[string]any)["stringValue"]
			}
			require.Len(t, attributes["service.instance.id"], 36)
			delete(attributes, "service.instance.id")
			require.Equal(t, map[string]any{
				"service.name": "onefire", "service.version": "v1.2.3", "k8s.namespace.name": "ops", "k8s.pod.name": "another", "team": "sre",
				"telemetry.sdk.language": "go", "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.version": attributes["telemetry.sdk.version"],
			}, attributes)
			require.Empty(t, logged.String())
		})
	}
}

func TestTheServicesNameIsThatOfTheVariable(t *testing.T) {
	o := Options{Service: "onefire", OTel: config.OTel{Resource: config.Attributes{"service.name": "b"}}}
	name, _ := identity(o).Set().Value("service.name")
	require.Equal(t, "b", name.AsString())
	_, known := identity(o).Set().Value("k8s.namespace.name")
	require.False(t, known, "what is unknown is left out")
	o.OTel.ServiceName = "a"
	name, _ = identity(o).Set().Value("service.name")
	require.Equal(t, "a", name.AsString())
	one, other := identity(o), identity(o)
	require.NotEqual(t, one, other, "each process is an instance of its own")
}

func TestACollectorThatHangsHoldsUpNoStop(t *testing.T) {
	release := make(chan struct{})
	c := newCollector(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	o, logged := options(c.URL)
	all := start(t, o)
	counter, err := all.Meter().Int64Counter("onefire.things")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	for range 2000 { // Four batches, each of which could wait for its own timeout.
		_, span := all.Tracer().Start(t.Context(), "settle")
		span.End()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	require.NoError(t, all.Stop(ctx))
	require.Less(t, time.Since(begun), 3*time.Second)
	require.Contains(t, logged.String(), `"kind":"traces"`)
	require.Contains(t, logged.String(), `"kind":"metrics"`)
}

func TestACollectorThatIsAwayIsLoggedOnceAMinute(t *testing.T) {
	o, logged := options("http://127.0.0.1:1")
	o.OTel.Timeout = config.Milliseconds(20 * time.Millisecond)
	o.OTel.MetricInterval = config.Milliseconds(10 * time.Millisecond)
	o.OTel.Headers = config.Headers{"Authorization": "secret"}
	o.Address = freeAddress(t)
	all := start(t, o)
	counter, err := all.Meter().Int64Counter("onefire.things")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	require.Eventually(t, func() bool {
		_, body := get(t, "http://"+o.Address+"/metrics")
		return strings.Contains(body, `onefire_telemetry_failures_total{kind="metrics"} 5`)
	}, 10*time.Second, 10*time.Millisecond, "failures are counted")
	require.Equal(t, 1, strings.Count(logged.String(), `"kind":"metrics"`), logged)
	require.NoError(t, all.Stop(t.Context()))
	require.Equal(t, 2, strings.Count(logged.String(), `"kind":"metrics"`), "the rest is said at the end")
	require.Contains(t, logged.String(), "connection refused")
	require.NotContains(t, logged.String(), "secret")
}

func TestMetricsAreSentAtTheInterval(t *testing.T) {
	c := newCollector(t, nil)
	o, _ := options(c.URL)
	o.OTel.MetricInterval, o.OTel.TracesEndpoint = config.Milliseconds(10*time.Millisecond), ""
	all := start(t, o)
	require.Eventually(t, func() bool { return len(c.got()) > 2 }, 10*time.Second, time.Millisecond, "onefire_build_info alone is worth it")
	require.NoError(t, all.Stop(t.Context()))
}

func TestTemporalityIsThatOfTheVariable(t *testing.T) {
	for want, row := range map[config.Temporality]string{
		config.TemporalityCumulative: "2", config.TemporalityDelta: "1", config.TemporalityLowMemory: "1",
	} {
		t.Run(string(want), func(t *testing.T) {
			c := newCollector(t, nil)
			o, _ := options(c.URL)
			o.OTel.Temporality = want
			all := start(t, o)
			counter, err := all.Meter().Int64Counter("onefire.things")
			require.NoError(t, err)
			counter.Add(t.Context(), 1)
			require.NoError(t, all.Stop(t.Context()))
			require.Contains(t, fmt.Sprint(c.got()[0].body), "aggregationTemporality:"+row)
		})
	}
}

func TestTheSamplerIsThatOfTheVariable(t *testing.T) {
	sampled := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{0xff, 8: 0xff}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true})
	not := sampled.WithTraceFlags(0)
	for name, row := range map[config.Sampler]struct {
		ratio                float64
		alone, inOne, inNone bool
	}{
		config.SamplerAlwaysOn:        {1, true, true, true},
		config.SamplerAlwaysOff:       {1, false, false, false},
		config.SamplerRatio:           {0, false, false, false},
		config.SamplerParentAlwaysOn:  {1, true, true, false},
		config.SamplerParentAlwaysOff: {1, false, true, false},
		config.SamplerParentRatio:     {0, false, true, false},
		"":                            {0, true, true, false},
	} {
		t.Run(string(name), func(t *testing.T) {
			o, _ := options("http://127.0.0.1:1")
			o.OTel.Sampler, o.OTel.SamplerRatio, o.OTel.MetricsEndpoint, o.OTel.Timeout = name, row.ratio, "", config.Milliseconds(time.Millisecond)
			all := start(t, o)
			records := func(parent trace.SpanContext) bool {
				_, span := all.Tracer().Start(trace.ContextWithRemoteSpanContext(t.Context(), parent), "x")
				return span.IsRecording()
			}
			require.Equal(t, row.alone, records(trace.SpanContext{}), "without a parent")
			require.Equal(t, row.inOne, records(sampled), "in a trace that is recorded")
			require.Equal(t, row.inNone, records(not), "in a trace that is not")
			require.NoError(t, all.Stop(t.Context()))
		})
	}
}

func TestACertificateThatIsNoneStopsTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.crt")
	o, _ := options("https://127.0.0.1:1")
	o.OTel.Certificate = path
	_, err := Start(t.Context(), o)
	require.ErrorContains(t, err, "OTEL_EXPORTER_OTLP_CERTIFICATE: open "+path)
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	_, err = Start(t.Context(), o)
	require.ErrorContains(t, err, "OTEL_EXPORTER_OTLP_CERTIFICATE: "+path+" holds no certificate in PEM")
}

func TestAValueThatCannotBeReadHidesNoOther(t *testing.T) {
	address := freeAddress(t)
	o, logged := options("")
	all := start(t, Options{Service: "onefire", Address: address, Log: o.Log})
	_, err := all.Meter().Int64ObservableGauge("onefire.broken", metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error {
		return errors.New("nobody knows")
	}))
	require.NoError(t, err)
	counter, err := all.Meter().Int64Counter("onefire.things")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	for range 2 {
		status, body := get(t, "http://"+address+"/metrics")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, "onefire_things_total 1\n")
	}
	_, body := get(t, "http://"+address+"/metrics")
	require.Contains(t, body, `onefire_telemetry_failures_total{kind="scrape"} 2`)
	require.Contains(t, logged.String(), "nobody knows")
	require.NoError(t, all.Stop(t.Context()))
}

func TestAScrapeWhileTheProcessStopsIsNoLoss(t *testing.T) {
	asked, release := make(chan struct{}, 2), make(chan struct{})
	c := newCollector(t, func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	})
	o, logged := options(c.URL)
	o.Address = freeAddress(t)
	all := start(t, o)
	stopped := make(chan error, 1)
	go func() { stopped <- all.Stop(t.Context()) }()
	<-asked // The last export, after which nothing more is counted.
	status, _ := get(t, "http://"+o.Address+"/metrics")
	close(release)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.NoError(t, <-stopped)
	require.Empty(t, logged.String())
}
