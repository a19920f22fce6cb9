package collector

import (
	"context"
	"iter"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"
)

// measure makes every kind of instrument, and measures with each.
func measure(ctx context.Context, t require.TestingT, m metric.Meter, ints []int64, floats []float64, attributes []attribute.KeyValue) {
	with := metric.WithAttributes(attributes...)
	unit, description := metric.WithUnit("s"), metric.WithDescription("What \"is\" <measured> ü.")
	i, err := m.Int64Counter("int.counter", unit, description)
	require.NoError(t, err)
	u, err := m.Int64UpDownCounter("int.updown", unit, description)
	require.NoError(t, err)
	g, err := m.Int64Gauge("int.gauge", unit, description)
	require.NoError(t, err)
	h, err := m.Int64Histogram("int.histogram", unit, description)
	require.NoError(t, err)
	for _, v := range ints {
		i.Add(ctx, max(v, 0)>>8, with) // Sums stay within 64 bits.
		u.Add(ctx, v>>8, with)
		g.Record(ctx, v, with)
		h.Record(ctx, v>>8, with)
	}
	fi, err := m.Float64Counter("float.counter", unit, description)
	require.NoError(t, err)
	fu, err := m.Float64UpDownCounter("float.updown", unit, description)
	require.NoError(t, err)
	fg, err := m.Float64Gauge("float.gauge", unit, description)
	require.NoError(t, err)
	fh, err := m.Float64Histogram("float.histogram", unit, description, metric.WithExplicitBucketBoundaries(-1, 0.1, 1, 1e9))
	require.NoError(t, err)
	for _, v := range floats {
		fi.Add(ctx, math.Abs(v), with)
		fu.Add(ctx, v, with)
		fg.Record(ctx, v, with)
		fh.Record(ctx, v, with)
	}
	_, err = m.Int64ObservableCounter("int.observed", metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(math.MaxInt64, with)
		return nil
	}))
	require.NoError(t, err)
}

// bothMetrics sends the same measurements with ours and with OpenTelemetry's own
// exporter, and returns what the receiver got of each, without times.
func bothMetrics(t require.TestingT, c *Collector, url, temporality string, selector sdk.TemporalitySelector, record func(metric.Meter)) (got, want string) {
	c.Take()
	all := ours(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality})
	record(all.Meter())
	require.NoError(t, all.Stop(context.Background()))
	_, mine := c.Take()

	exporter, err := otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithEndpointURL(url+"/v1/metrics"), otlpmetrichttp.WithTemporalitySelector(selector))
	require.NoError(t, err)
	provider := sdk.NewMeterProvider(sdk.WithReader(sdk.NewPeriodicReader(exporter)))
	record(provider.Meter("onefire", metric.WithInstrumentationVersion(version)))
	require.NoError(t, provider.Shutdown(context.Background()))
	_, theirs := c.Take()
	return timeless(t, mine), timeless(t, theirs)
}

// ownMetrics are those that telemetry makes itself.
var ownMetrics = map[string]bool{"onefire.build.info": true, "onefire.telemetry.failures": true}

func timeless(t require.TestingT, exports []pmetric.Metrics) string {
	require.Len(t, exports, 1)
	for _, r := range exports[0].ResourceMetrics().All() {
		r.Resource().Attributes().Clear()
		r.SetSchemaUrl("")
		for _, scope := range r.ScopeMetrics().All() {
			scope.Metrics().RemoveIf(func(m pmetric.Metric) bool { return ownMetrics[m.Name()] })
			for _, m := range scope.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeGauge:
					clearTimes(t, m.Gauge().DataPoints().All())
				case pmetric.MetricTypeSum:
					clearTimes(t, m.Sum().DataPoints().All())
				default:
					clearTimes(t, m.Histogram().DataPoints().All())
				}
			}
		}
	}
	text, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(exports[0])
	require.NoError(t, err)
	return string(text)
}

// point is what the points of all kinds have in common.
type point interface {
	Timestamp() pcommon.Timestamp
	StartTimestamp() pcommon.Timestamp
	SetTimestamp(pcommon.Timestamp)
	SetStartTimestamp(pcommon.Timestamp)
	Exemplars() pmetric.ExemplarSlice
}

func clearTimes[P point](t require.TestingT, points iter.Seq2[int, P]) {
	for _, p := range points {
		require.WithinDuration(t, time.Now(), p.Timestamp().AsTime(), time.Minute)
		require.WithinDuration(t, time.Now(), p.StartTimestamp().AsTime(), time.Minute)
		p.SetTimestamp(0)
		p.SetStartTimestamp(0)
		for _, e := range p.Exemplars().All() {
			require.WithinDuration(t, time.Now(), e.Timestamp().AsTime(), time.Minute)
			e.SetTimestamp(0)
		}
	}
}

var selectors = map[string]sdk.TemporalitySelector{
	"cumulative": sdk.CumulativeTemporalitySelector, "delta": sdk.DeltaTemporalitySelector, "lowmemory": sdk.LowMemoryTemporalitySelector,
}

func TestAnyMetricsArriveAsOpenTelemetrysOwnExporterSendsThem(t *testing.T) {
	c, url := receive(t)
	for name, selector := range selectors {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				ints := rapid.SliceOfN(rapid.Int64(), 0, 5).Draw(t, "ints")
				floats := rapid.SliceOfN(rapid.Float64(), 0, 5).Draw(t, "floats")
				attributes := keyValues(1).Draw(t, "attributes")
				got, want := bothMetrics(t, c, url, name, selector, func(m metric.Meter) {
					measure(context.Background(), t, m, ints, floats, attributes)
				})
				require.JSONEq(t, want, got)
			})
		})
	}
}

func TestWhatIsNoNumberArrivesToo(t *testing.T) {
	c, url := receive(t)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		got, want := bothMetrics(t, c, url, "cumulative", sdk.CumulativeTemporalitySelector, func(m metric.Meter) {
			measure(t.Context(), t, m, []int64{math.MaxInt64, math.MinInt64}, []float64{v}, nil)
		})
		require.JSONEq(t, want, got)
	}
}

func TestExemplarsLeadToTheSpan(t *testing.T) {
	c, url := receive(t)
	ctx := trace.ContextWithSpanContext(t.Context(), foreign.SpanContext)
	got, want := bothMetrics(t, c, url, "delta", sdk.DeltaTemporalitySelector, func(m metric.Meter) {
		measure(ctx, t, m, []int64{7}, []float64{0.5}, nil)
	})
	require.JSONEq(t, want, got)
	require.Contains(t, got, `"spanId":"`+foreign.SpanContext.SpanID().String()+`"`)
}
