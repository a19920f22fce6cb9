package telemetry

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// requireJSON asserts what a message is as JSON.
func requireJSON(t *testing.T, want string, message any) {
	t.Helper()
	got, err := json.Marshal(message)
	require.NoError(t, err)
	require.JSONEq(t, want, string(got))
}

// at is a time that JSON has as a number of nanoseconds.
func at(ns int64) time.Time { return time.Unix(0, ns) }

// theScope is an instrumentation scope with everything in it.
func theScope() instrumentation.Scope {
	return instrumentation.Scope{Name: "onefire", Version: "v1", SchemaURL: "https://schema.test", Attributes: attribute.NewSet(attribute.Bool("own", true))}
}

// number of 64 bits are texts, ids hexadecimal, and what is empty is left out.
func TestMetricsAreOTLPsJSON(t *testing.T) {
	of := attribute.NewSet(attribute.String("of", "x"))
	requireJSON(t, `{"resourceMetrics":[{
		"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"onefire"}}]},
		"scopeMetrics":[{
			"scope":{"name":"onefire","version":"v1","attributes":[{"key":"own","value":{"boolValue":true}}]},
			"schemaUrl":"https://schema.test",
			"metrics":[
				{"name":"a","description":"about a","unit":"By","gauge":{"dataPoints":[
					{"attributes":[{"key":"of","value":{"stringValue":"x"}}],"startTimeUnixNano":"1","timeUnixNano":"2","asInt":"-3"}]}},
				{"name":"b","gauge":{"dataPoints":[{"startTimeUnixNano":"0","timeUnixNano":"2","asDouble":0.5},{"startTimeUnixNano":"1","timeUnixNano":"20","asDouble":-7}]}},
				{"name":"c","sum":{"dataPoints":[{"startTimeUnixNano":"1","timeUnixNano":"2","asInt":"0"}],"aggregationTemporality":2,"isMonotonic":true}},
				{"name":"d","sum":{"dataPoints":[{"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":1.5,"exemplars":[
					{"filteredAttributes":[{"key":"e","value":{"intValue":"4"}}],"timeUnixNano":"7","spanId":"0102","traceId":"0a0b","asDouble":2.5}]}],"aggregationTemporality":1}},
				{"name":"e","histogram":{"dataPoints":[{
					"attributes":[{"key":"of","value":{"stringValue":"x"}}],"startTimeUnixNano":"1","timeUnixNano":"2","count":"13","sum":7,
					"bucketCounts":["1","12"],"explicitBounds":[5],"min":-1,"max":6,"exemplars":[{"timeUnixNano":"7","asInt":"8"},{"timeUnixNano":"9","asInt":"10"}]},
					{"startTimeUnixNano":"1","timeUnixNano":"2","count":"0","sum":0}],"aggregationTemporality":2}},
				{"name":"f","histogram":{"dataPoints":[{
					"startTimeUnixNano":"1","timeUnixNano":"2","count":"1","sum":"NaN","bucketCounts":["1"]}],"aggregationTemporality":1}}
			]
		},{"scope":{"name":"another"},"metrics":null}]
	}]}`, metricsOf(&metricdata.ResourceMetrics{
		Resource: resource.NewSchemaless(attribute.String("service.name", "onefire")),
		ScopeMetrics: []metricdata.ScopeMetrics{{Scope: theScope(), Metrics: []metricdata.Metrics{
			{Name: "a", Description: "about a", Unit: "By", Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Attributes: of, StartTime: at(1), Time: at(2), Value: -3}}}},
			{Name: "b", Data: metricdata.Gauge[float64]{DataPoints: []metricdata.DataPoint[float64]{{StartTime: time.Time{}, Time: at(2), Value: 0.5}, {StartTime: at(1), Time: at(20), Value: -7}}}},
			{Name: "c", Data: metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true, DataPoints: []metricdata.DataPoint[int64]{{StartTime: at(1), Time: at(2)}}}},
			{Name: "d", Data: metricdata.Sum[float64]{Temporality: metricdata.DeltaTemporality, DataPoints: []metricdata.DataPoint[float64]{{
				StartTime: at(1), Time: at(2), Value: 1.5,
				Exemplars: []metricdata.Exemplar[float64]{{FilteredAttributes: []attribute.KeyValue{attribute.Int("e", 4)}, Time: at(7), Value: 2.5, SpanID: []byte{1, 2}, TraceID: []byte{10, 11}}},
			}}}},
			{Name: "e", Data: metricdata.Histogram[int64]{Temporality: metricdata.CumulativeTemporality, DataPoints: []metricdata.HistogramDataPoint[int64]{{
				Attributes: of, StartTime: at(1), Time: at(2), Count: 13, Sum: 7, Bounds: []float64{5}, BucketCounts: []uint64{1, 12},
				Min: metricdata.NewExtrema[int64](-1), Max: metricdata.NewExtrema[int64](6), Exemplars: []metricdata.Exemplar[int64]{{Time: at(7), Value: 8}, {Time: at(9), Value: 10}},
			}, {StartTime: at(1), Time: at(2)}}}},
			{Name: "f", Data: metricdata.Histogram[float64]{Temporality: metricdata.DeltaTemporality, DataPoints: []metricdata.HistogramDataPoint[float64]{{
				StartTime: at(1), Time: at(2), Count: 1, Sum: math.NaN(), BucketCounts: []uint64{1},
			}}}},
			{Name: "g", Data: metricdata.Summary{}},
		}}, {Scope: instrumentation.Scope{Name: "another"}}},
	}))
}

func TestSpansAreOTLPsJSON(t *testing.T) {
	state, err := trace.ParseTraceState("a=b")
	require.NoError(t, err)
	own := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state})
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{3}, Remote: true})
	one := tracetest.SpanStub{
		Name: "settle", SpanContext: own, Parent: parent, SpanKind: trace.SpanKindConsumer, StartTime: at(1), EndTime: at(2),
		Attributes: []attribute.KeyValue{attribute.String("k", "v")}, DroppedAttributes: 1, DroppedEvents: 2, DroppedLinks: 3,
		Events: []sdktrace.Event{{Name: "attempt", Time: at(4), Attributes: []attribute.KeyValue{attribute.Int("n", 1)}, DroppedAttributeCount: 5}, {Name: "again", Time: at(6)}},
		Links: []sdktrace.Link{
			{SpanContext: parent, Attributes: []attribute.KeyValue{attribute.Bool("l", false)}, DroppedAttributeCount: 6},
			{SpanContext: own},
		},
		Status: sdktrace.Status{Code: codes.Error, Description: "why"}, InstrumentationScope: theScope(),
		Resource: resource.NewSchemaless(attribute.String("service.name", "onefire")),
	}
	root := tracetest.SpanStub{Name: "root", SpanContext: own, StartTime: at(1), EndTime: at(2), Status: sdktrace.Status{Code: codes.Ok}, InstrumentationScope: theScope()}
	other := tracetest.SpanStub{Name: "other", SpanContext: own, StartTime: at(1), EndTime: at(2), InstrumentationScope: instrumentation.Scope{Name: "another"}}
	const id = `"traceId":"01000000000000000000000000000000","spanId":"0200000000000000"`
	requireJSON(t, `{"resourceSpans":[{
		"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"onefire"}}]},
		"scopeSpans":[
			{"scope":{"name":"onefire","version":"v1","attributes":[{"key":"own","value":{"boolValue":true}}]},"schemaUrl":"https://schema.test","spans":[
				{`+id+`,"traceState":"a=b","parentSpanId":"0300000000000000","flags":769,"name":"settle","kind":5,"startTimeUnixNano":"1","endTimeUnixNano":"2",
					"attributes":[{"key":"k","value":{"stringValue":"v"}}],"droppedAttributesCount":1,"droppedEventsCount":2,"droppedLinksCount":3,
					"events":[{"timeUnixNano":"4","name":"attempt","attributes":[{"key":"n","value":{"intValue":"1"}}],"droppedAttributesCount":5},{"timeUnixNano":"6","name":"again"}],
					"links":[
						{"traceId":"01000000000000000000000000000000","spanId":"0300000000000000","attributes":[{"key":"l","value":{"boolValue":false}}],"droppedAttributesCount":6,"flags":768},
						{`+id+`,"traceState":"a=b","flags":257}],
					"status":{"message":"why","code":2}},
				{`+id+`,"traceState":"a=b","flags":257,"name":"root","kind":0,"startTimeUnixNano":"1","endTimeUnixNano":"2","status":{"code":1}}
			]},
			{"scope":{"name":"another"},"spans":[
				{`+id+`,"traceState":"a=b","flags":257,"name":"other","kind":0,"startTimeUnixNano":"1","endTimeUnixNano":"2","status":{}}
			]}
		]
	}]}`, traces([]sdktrace.ReadOnlySpan{one.Snapshot(), root.Snapshot(), other.Snapshot()}))
}

func TestValuesAreOTLPsJSON(t *testing.T) {
	for want, v := range map[string]attribute.Value{
		`{"boolValue":true}`:                              attribute.BoolValue(true),
		`{"intValue":"-7"}`:                               attribute.Int64Value(-7),
		`{"doubleValue":0.5}`:                             attribute.Float64Value(0.5),
		`{"doubleValue":"NaN"}`:                           attribute.Float64Value(math.NaN()),
		`{"doubleValue":"Infinity"}`:                      attribute.Float64Value(math.Inf(1)),
		`{"doubleValue":"-Infinity"}`:                     attribute.Float64Value(math.Inf(-1)),
		`{"stringValue":""}`:                              attribute.StringValue(""),
		`{"bytesValue":"AAE="}`:                           attribute.ByteSliceValue([]byte{0, 1}),
		`{"arrayValue":{"values":[{"boolValue":false}]}}`: attribute.BoolSliceValue([]bool{false}),
		`{"arrayValue":{"values":[{"intValue":"1"},{"intValue":"20"}]}}`:       attribute.Int64SliceValue([]int64{1, 20}),
		`{"arrayValue":{"values":[{"doubleValue":1.5}]}}`:                      attribute.Float64SliceValue([]float64{1.5}),
		`{"arrayValue":{"values":[{"stringValue":"a"}]}}`:                      attribute.StringSliceValue([]string{"a"}),
		`{"arrayValue":{"values":[]}}`:                                         attribute.StringSliceValue([]string{}),
		`{"arrayValue":{"values":[{"intValue":"2"}]}}`:                         attribute.SliceValue(attribute.Int64Value(2)),
		`{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}`: attribute.MapValue(attribute.String("k", "v")),
		`{}`: {},
	} {
		requireJSON(t, want, value(v))
	}
}
