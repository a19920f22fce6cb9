package telemetry

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// collected is the text of what a meter counted.
func collected(t *testing.T, measure func(m metric.Meter) error) string {
	t.Helper()
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	require.NoError(t, measure(provider.Meter("test")))
	var metrics metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &metrics))
	return string(text(metrics))
}

func TestTextIsPrometheuss(t *testing.T) {
	for name, row := range map[string]struct {
		measure func(m metric.Meter) error
		want    string
	}{
		"nothing": {func(m metric.Meter) error {
			_, err := m.Int64Counter("unused")
			return err
		}, ""},
		"a counter, by its labels": {func(m metric.Meter) error {
			c, err := m.Int64Counter("onefire.requests", metric.WithDescription("Requests."))
			c.Add(t.Context(), 2, metric.WithAttributes(attribute.Int("status", 503), attribute.Bool("again", true)))
			c.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("status", 200), attribute.Bool("again", true)))
			c.Add(t.Context(), 4, metric.WithAttributes(attribute.Int("status", 503)))
			return err
		}, `# HELP onefire_requests_total Requests.
# TYPE onefire_requests_total counter
onefire_requests_total{status="503"} 4
onefire_requests_total{again="true",status="200"} 1
onefire_requests_total{again="true",status="503"} 2
`},
		"a gauge with a unit": {func(m metric.Meter) error {
			g, err := m.Int64Gauge("last.webhook.timestamp", metric.WithUnit("s"))
			g.Record(t.Context(), 1768651200)
			return err
		}, `# HELP last_webhook_timestamp_seconds 
# TYPE last_webhook_timestamp_seconds gauge
last_webhook_timestamp_seconds 1.7686512e+09
`},
		"a counter that goes down is a gauge": {func(m metric.Meter) error {
			c, err := m.Float64UpDownCounter("waiting.size", metric.WithUnit("By"))
			c.Add(t.Context(), -0.5)
			return err
		}, `# HELP waiting_size_bytes 
# TYPE waiting_size_bytes gauge
waiting_size_bytes -0.5
`},
		"a gauge that is a ratio": {func(m metric.Meter) error {
			g, err := m.Float64Gauge("full", metric.WithUnit("1"))
			g.Record(t.Context(), math.Copysign(0, -1))
			return err
		}, "# HELP full_ratio \n# TYPE full_ratio gauge\nfull_ratio 0\n"},
		"what goes up and down is no ratio": {func(m metric.Meter) error {
			c, err := m.Int64UpDownCounter("waiting", metric.WithUnit("1"))
			c.Add(t.Context(), 1)
			return err
		}, "# HELP waiting \n# TYPE waiting gauge\nwaiting 1\n"},
		"a counter of parts": {func(m metric.Meter) error {
			c, err := m.Float64Counter("c", metric.WithUnit("s"))
			c.Add(t.Context(), 1.5)
			return err
		}, "# HELP c_seconds_total \n# TYPE c_seconds_total counter\nc_seconds_total 1.5\n"},
		"a histogram of whole numbers": {func(m metric.Meter) error {
			h, err := m.Int64Histogram("size", metric.WithUnit("By"), metric.WithExplicitBucketBoundaries(5))
			for range 10 {
				h.Record(t.Context(), 3)
			}
			h.Record(t.Context(), 7)
			return err
		}, `# HELP size_bytes 
# TYPE size_bytes histogram
size_bytes_bucket{le="5"} 10
size_bytes_bucket{le="+Inf"} 11
size_bytes_sum 37
size_bytes_count 11
`},
		"a label without a name": {func(m metric.Meter) error {
			c, err := m.Int64Counter("c")
			c.Add(t.Context(), 1, metric.WithAttributes(attribute.String("_", "x"), attribute.String("l", "y")))
			return err
		}, "# HELP c_total \n# TYPE c_total counter\nc_total{l=\"y\"} 1\n"},
		"a histogram": {func(m metric.Meter) error {
			h, err := m.Float64Histogram("took", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1))
			for _, v := range []float64{0.05, 0.1, 0.5, 7} {
				h.Record(t.Context(), v, metric.WithAttributes(attribute.String("of", "x")))
			}
			return err
		}, `# HELP took_seconds 
# TYPE took_seconds histogram
took_seconds_bucket{of="x",le="0.1"} 2
took_seconds_bucket{of="x",le="1"} 3
took_seconds_bucket{of="x",le="+Inf"} 4
took_seconds_sum{of="x"} 7.65
took_seconds_count{of="x"} 4
`},
		"what must be escaped": {func(m metric.Meter) error {
			c, err := m.Int64Counter("c", metric.WithDescription("a\\b\n\"c\""))
			c.Add(t.Context(), 1, metric.WithAttributes(attribute.String("l", "a\\b\n\"c\"ü")))
			return err
		}, "# HELP c_total a\\\\b\\n\"c\"\n# TYPE c_total counter\nc_total{l=\"a\\\\b\\n\\\"c\\\"ü\"} 1\n"},
		"no numbers": {func(m metric.Meter) error {
			g, err := m.Float64Gauge("g")
			for l, v := range map[string]float64{"a": math.NaN(), "b": math.Inf(1), "c": math.Inf(-1)} {
				g.Record(t.Context(), v, metric.WithAttributes(attribute.String("l", l)))
			}
			return err
		}, "# HELP g \n# TYPE g gauge\ng{l=\"a\"} NaN\ng{l=\"b\"} +Inf\ng{l=\"c\"} -Inf\n"},
		"labels that become one": {func(m metric.Meter) error {
			c, err := m.Int64Counter("c")
			c.Add(t.Context(), 1, metric.WithAttributes(attribute.String("a.b", "2"), attribute.String("a/b", "1")))
			return err
		}, "# HELP c_total \n# TYPE c_total counter\nc_total{a_b=\"1;2\"} 1\n"},
		"a label that is no UTF-8": {func(m metric.Meter) error {
			c, err := m.Int64Counter("c")
			c.Add(t.Context(), 1, metric.WithAttributes(attribute.String("l", "a\xffb")))
			return err
		}, "# HELP c_total \n# TYPE c_total counter\nc_total{l=\"a\uFFFDb\"} 1\n"},
		"two kinds under one name": {func(m metric.Meter) error {
			c, err := m.Int64UpDownCounter("x.total")
			c.Add(t.Context(), 1)
			if err != nil {
				return err
			}
			g, err := m.Int64Counter("x")
			g.Add(t.Context(), 2)
			return err
		}, "# HELP x_total \n# TYPE x_total gauge\nx_total 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, row.want, collected(t, row.measure))
		})
	}
}

func TestOneNameOfSeveralScopesIsOneFamily(t *testing.T) {
	one := func(name, of string) metricdata.Metrics {
		return metricdata.Metrics{Name: name, Description: "of " + of, Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{
			{Attributes: attribute.NewSet(attribute.String("of", of)), Value: 1}}}}
	}
	nothing := metricdata.Metrics{Name: "nothing", Data: metricdata.Gauge[int64]{}}
	unknown := metricdata.Metrics{Name: "unknown", Data: metricdata.Summary{}}
	unnamed := one("", "nobody")
	require.Equal(t, "# HELP a of x\n# TYPE a gauge\na{of=\"x\"} 1\na{of=\"y\"} 1\n# HELP b of y\n# TYPE b gauge\nb{of=\"y\"} 1\n",
		string(text(metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{
			{Metrics: []metricdata.Metrics{nothing, unknown, unnamed, one("a", "x")}},
			{Metrics: []metricdata.Metrics{one("a", "y"), one("b", "y")}},
		}})))
}
