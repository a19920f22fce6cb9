package telemetry

import (
	"context"
	"encoding/hex"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

type (
	jsonMetrics struct {
		ResourceMetrics []jsonResourceMetrics `json:"resourceMetrics"`
	}
	jsonResourceMetrics struct {
		Resource     jsonResource       `json:"resource"`
		ScopeMetrics []jsonScopeMetrics `json:"scopeMetrics"`
	}
	jsonScopeMetrics struct {
		Scope     jsonScope    `json:"scope"`
		Metrics   []jsonMetric `json:"metrics"`
		SchemaURL string       `json:"schemaUrl,omitempty"`
	}
	// jsonMetric has exactly one kind of data.
	jsonMetric struct {
		Name        string    `json:"name"`
		Description string    `json:"description,omitempty"`
		Unit        string    `json:"unit,omitempty"`
		Gauge       *jsonData `json:"gauge,omitempty"`
		Sum         *jsonData `json:"sum,omitempty"`
		Histogram   *jsonData `json:"histogram,omitempty"`
	}
	jsonData struct {
		Points      []jsonPoint `json:"dataPoints"`
		Temporality int         `json:"aggregationTemporality,omitempty"`
		Monotonic   bool        `json:"isMonotonic,omitempty"`
	}
	// jsonPoint is a number or a histogram.
	jsonPoint struct {
		Attributes []jsonKeyValue `json:"attributes,omitempty"`
		Start      string         `json:"startTimeUnixNano,omitempty"`
		Time       string         `json:"timeUnixNano"`
		Exemplars  []jsonExemplar `json:"exemplars,omitempty"`
		jsonNumber
		Count   string    `json:"count,omitempty"`
		Sum     *double   `json:"sum,omitempty"`
		Buckets []string  `json:"bucketCounts,omitempty"`
		Bounds  []float64 `json:"explicitBounds,omitempty"`
		Min     *double   `json:"min,omitempty"`
		Max     *double   `json:"max,omitempty"`
	}
	jsonNumber struct {
		Int    string  `json:"asInt,omitempty"`
		Double *double `json:"asDouble,omitempty"`
	}
	jsonExemplar struct {
		Attributes []jsonKeyValue `json:"filteredAttributes,omitempty"`
		Time       string         `json:"timeUnixNano"`
		SpanID     string         `json:"spanId,omitempty"`
		TraceID    string         `json:"traceId,omitempty"`
		jsonNumber
	}
)

// The numbers of temporalities in OTLP.
var temporalities = map[metricdata.Temporality]int{metricdata.DeltaTemporality: 1, metricdata.CumulativeTemporality: 2}

// metricExporter sends metrics.
type metricExporter struct {
	*sender
	temporality sdk.TemporalitySelector
}

// Temporality is the configured one.
func (e metricExporter) Temporality(kind sdk.InstrumentKind) metricdata.Temporality {
	return e.temporality(kind)
}

// Aggregation leaves the choice to the SDK.
func (e metricExporter) Aggregation(sdk.InstrumentKind) sdk.Aggregation { return nil }

// Export sends metrics. It counts and logs failures itself, and returns no error.
func (e metricExporter) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	e.send(ctx, metricsOf(metrics)) // The version that runs is always among them.
	return nil
}

// ForceFlush does nothing, because Export holds nothing back.
func (e metricExporter) ForceFlush(context.Context) error { return nil }

func metricsOf(metrics *metricdata.ResourceMetrics) jsonMetrics {
	all := jsonResourceMetrics{Resource: resourceOf(metrics.Resource)}
	for _, s := range metrics.ScopeMetrics {
		scope := jsonScopeMetrics{Scope: scopeOf(s.Scope), SchemaURL: s.Scope.SchemaURL}
		for _, m := range s.Metrics {
			if one, ok := metricOf(m); ok {
				scope.Metrics = append(scope.Metrics, one)
			}
		}
		all.ScopeMetrics = append(all.ScopeMetrics, scope)
	}
	return jsonMetrics{[]jsonResourceMetrics{all}}
}

func metricOf(m metricdata.Metrics) (jsonMetric, bool) {
	out := jsonMetric{Name: m.Name, Description: m.Description, Unit: m.Unit}
	switch data := m.Data.(type) {
	case metricdata.Gauge[int64]:
		out.Gauge = &jsonData{Points: points(data.DataPoints)}
	case metricdata.Gauge[float64]:
		out.Gauge = &jsonData{Points: points(data.DataPoints)}
	case metricdata.Sum[int64]:
		out.Sum = &jsonData{points(data.DataPoints), temporalities[data.Temporality], data.IsMonotonic}
	case metricdata.Sum[float64]:
		out.Sum = &jsonData{points(data.DataPoints), temporalities[data.Temporality], data.IsMonotonic}
	case metricdata.Histogram[int64]:
		out.Histogram = &jsonData{histogramPoints(data.DataPoints), temporalities[data.Temporality], false}
	case metricdata.Histogram[float64]:
		out.Histogram = &jsonData{histogramPoints(data.DataPoints), temporalities[data.Temporality], false}
	default:
		return jsonMetric{}, false // No view makes another kind.
	}
	return out, true
}

func points[N int64 | float64](all []metricdata.DataPoint[N]) []jsonPoint {
	out := []jsonPoint{}
	for _, p := range all {
		out = append(out, jsonPoint{
			Attributes: keyValues(p.Attributes.ToSlice()), Start: nanoseconds(p.StartTime), Time: nanoseconds(p.Time),
			Exemplars: exemplars(p.Exemplars), jsonNumber: numberOf(p.Value),
		})
	}
	return out
}

func histogramPoints[N int64 | float64](all []metricdata.HistogramDataPoint[N]) []jsonPoint {
	out := []jsonPoint{}
	for _, p := range all {
		sum := double(p.Sum)
		one := jsonPoint{
			Attributes: keyValues(p.Attributes.ToSlice()), Start: nanoseconds(p.StartTime), Time: nanoseconds(p.Time),
			Exemplars: exemplars(p.Exemplars), Count: count(p.Count), Sum: &sum, Bounds: p.Bounds,
			Min: extreme(p.Min), Max: extreme(p.Max),
		}
		for _, n := range p.BucketCounts {
			one.Buckets = append(one.Buckets, count(n))
		}
		out = append(out, one)
	}
	return out
}

func extreme[N int64 | float64](e metricdata.Extrema[N]) *double {
	v, ok := e.Value()
	if !ok {
		return nil
	}
	d := double(v)
	return &d
}

func exemplars[N int64 | float64](all []metricdata.Exemplar[N]) []jsonExemplar {
	var out []jsonExemplar
	for _, e := range all {
		out = append(out, jsonExemplar{
			keyValues(e.FilteredAttributes), nanoseconds(e.Time),
			hex.EncodeToString(e.SpanID), hex.EncodeToString(e.TraceID), numberOf(e.Value),
		})
	}
	return out
}

func numberOf[N int64 | float64](v N) jsonNumber {
	switch v := any(v).(type) {
	case int64:
		return jsonNumber{Int: integer(v)}
	case float64:
		d := double(v)
		return jsonNumber{Double: &d}
	}
	return jsonNumber{}
}
