package collector

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	promclient "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"pgregory.net/rapid"

	"onefire/function/telemetry"
)

// ownLines are those of the metrics that telemetry makes itself.
var ownLines = regexp.MustCompile(`(?m)^(# (HELP|TYPE) )?onefire_(build_info|telemetry_failures_total)\b.*\n`)

// bothTexts measures the same for ours and for OpenTelemetry's own exporter, and
// returns what Prometheus gets of each.
func bothTexts(t require.TestingT, address string, record func(metric.Meter)) (got, want string) {
	ctx := context.Background()
	all, err := telemetry.Start(ctx, telemetry.Options{Service: "onefire", Address: address})
	require.NoError(t, err)
	record(all.Meter())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, all.Stop(ctx))
	require.Equal(t, expfmt.TypeTextPlain, expfmt.ResponseFormat(resp.Header).FormatType(), "Prometheus knows the format")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	_, err = parser.TextToMetricFamilies(strings.NewReader(string(body)))
	require.NoError(t, err, "Prometheus's own parser: %s", body)

	registry := promclient.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry), prometheus.WithoutScopeInfo(), prometheus.WithoutTargetInfo())
	require.NoError(t, err)
	provider := sdk.NewMeterProvider(sdk.WithReader(exporter))
	record(provider.Meter("onefire"))
	theirs := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(theirs, req)
	require.Equal(t, http.StatusOK, theirs.Code, theirs.Body)
	require.NoError(t, provider.Shutdown(ctx))
	return ownLines.ReplaceAllString(string(body), ""), theirs.Body.String()
}

func TestAnyMetricsReadAsThoseOfOpenTelemetrysOwnExporter(t *testing.T) {
	address := freeAddress(t)
	rapid.Check(t, func(t *rapid.T) {
		ints := rapid.SliceOfN(rapid.Int64(), 0, 5).Draw(t, "ints")
		floats := rapid.SliceOfN(rapid.Float64(), 0, 5).Draw(t, "floats")
		// A label le is a histogram's own: with another, no exporter's text can be read.
		plain := keyValues(1).Filter(func(all []attribute.KeyValue) bool {
			return !slices.ContainsFunc(all, func(a attribute.KeyValue) bool { return a.Key == "le" })
		})
		sets := rapid.SliceOfNDistinct(plain, 1, 4, values).Draw(t, "attributes")
		got, want := bothTexts(t, address, func(m metric.Meter) {
			for _, attributes := range sets {
				measure(context.Background(), t, m, ints, floats, attributes)
			}
		})
		require.Equal(t, want, got)
	})
}

// values are those of a series' labels, whatever their names. Prometheus' library
// sorts series by them alone, and so leaves a="1" and b="1" in any order; two
// series that read alike, as those of an empty list and of "", it refuses.
func values(all []attribute.KeyValue) string {
	var texts []string
	for _, a := range all {
		texts = append(texts, a.Value.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, ";")
}

func TestAnyNameAndUnitReadAsThoseOfOpenTelemetrysOwnExporter(t *testing.T) {
	address := freeAddress(t)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z][a-z0-9._/-]{0,12}(total|seconds|ratio)?`).Draw(t, "name")
		unit := rapid.SampledFrom([]string{"", "s", "ms", "By", "1", "%", "{alert}", "By/s", "1/s", "{x}/{y}", "Cel", "odd unit"}).Draw(t, "unit")
		description := rapid.String().Draw(t, "description")
		got, want := bothTexts(t, address, func(m metric.Meter) {
			options := []metric.InstrumentOption{metric.WithUnit(unit), metric.WithDescription(description)}
			g, err := m.Float64Gauge("g"+name, options[0].(metric.Float64GaugeOption), options[1].(metric.Float64GaugeOption))
			require.NoError(t, err)
			g.Record(context.Background(), 1)
			c, err := m.Float64Counter("c"+name, options[0].(metric.Float64CounterOption), options[1].(metric.Float64CounterOption))
			require.NoError(t, err)
			c.Add(context.Background(), 1)
			h, err := m.Int64Histogram("h"+name, options[0].(metric.Int64HistogramOption), options[1].(metric.Int64HistogramOption))
			require.NoError(t, err)
			h.Record(context.Background(), 1)
		})
		require.Equal(t, want, got)
	})
}

func TestWhatIsNoNumberReadsAsThatOfOpenTelemetrysOwnExporter(t *testing.T) {
	address := freeAddress(t)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 1e21, 1e-7, math.Copysign(0, -1)} {
		got, want := bothTexts(t, address, func(m metric.Meter) {
			measure(t.Context(), t, m, []int64{math.MaxInt64, math.MinInt64}, []float64{v}, []attribute.KeyValue{attribute.Float64("v", v)})
		})
		require.Equal(t, want, got)
	}
}
