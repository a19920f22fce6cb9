package telemetry

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// contentType is the media type of Prometheus's text format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// family is the samples with one name.
type family struct {
	name, kind, help string
	series           []series
}

// series is one set of labels with its sample, or with the samples of its histogram.
type series struct {
	// labels are sorted by name.
	labels  []label
	samples []sample
}

type label struct{ name, value string }

// sample is one line. A bucket has its bound as one more label.
type sample struct {
	suffix string
	bound  string
	value  string
}

// text writes metrics in Prometheus's text format. Names, types and values are the same
// as those of OpenTelemetry's Prometheus exporter.
func text(metrics metricdata.ResourceMetrics) []byte {
	families := map[string]*family{}
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			f, ok := familyOf(m)
			if !ok || len(f.series) == 0 {
				continue
			}
			first := families[f.name]
			switch {
			case first == nil:
				families[f.name] = f
			case first.kind == f.kind: // One name must not have two types.
				first.series = append(first.series, f.series...)
			}
		}
	}
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(families)) {
		families[name].write(&out)
	}
	return out.Bytes()
}

func familyOf(m metricdata.Metrics) (*family, bool) {
	f := &family{help: m.Description, kind: "gauge"}
	var kind otlptranslator.MetricType = otlptranslator.MetricTypeGauge
	sum := func(monotonic bool) {
		kind = otlptranslator.MetricTypeNonMonotonicCounter
		if monotonic {
			f.kind, kind = "counter", otlptranslator.MetricTypeMonotonicCounter
		}
	}
	switch data := m.Data.(type) {
	case metricdata.Gauge[int64]:
		f.series = numbers(data.DataPoints)
	case metricdata.Gauge[float64]:
		f.series = numbers(data.DataPoints)
	case metricdata.Sum[int64]:
		sum(data.IsMonotonic)
		f.series = numbers(data.DataPoints)
	case metricdata.Sum[float64]:
		sum(data.IsMonotonic)
		f.series = numbers(data.DataPoints)
	case metricdata.Histogram[int64]:
		f.kind, kind = "histogram", otlptranslator.MetricTypeHistogram
		f.series = histograms(data.DataPoints)
	case metricdata.Histogram[float64]:
		f.kind, kind = "histogram", otlptranslator.MetricTypeHistogram
		f.series = histograms(data.DataPoints)
	default:
		return nil, false // No view makes another kind.
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	var err error
	f.name, err = namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: kind})
	return f, err == nil
}

func numbers[N int64 | float64](points []metricdata.DataPoint[N]) []series {
	var all []series
	for _, p := range points {
		all = append(all, series{labels(p.Attributes), []sample{{value: number(float64(p.Value))}}})
	}
	return all
}

func histograms[N int64 | float64](points []metricdata.HistogramDataPoint[N]) []series {
	var all []series
	for _, p := range points {
		s := series{labels: labels(p.Attributes)}
		var count uint64
		for i, bound := range p.Bounds {
			count += p.BucketCounts[i]
			s.samples = append(s.samples, sample{"_bucket", number(bound), strconv.FormatUint(count, 10)})
		}
		total := strconv.FormatUint(p.Count, 10)
		s.samples = append(s.samples, sample{"_bucket", "+Inf", total}, sample{"_sum", "", number(float64(p.Sum))}, sample{"_count", "", total})
		all = append(all, s)
	}
	return all
}

// labels are a point's attributes. The values of attributes that become the same label
// are joined, as the specification demands.
func labels(attributes attribute.Set) []label {
	namer := otlptranslator.LabelNamer{}
	values := map[string][]string{}
	for _, a := range attributes.ToSlice() {
		if name, err := namer.Build(string(a.Key)); err == nil {
			values[name] = append(values[name], strings.ToValidUTF8(a.Value.String(), "\uFFFD"))
		}
	}
	var all []label
	for _, name := range slices.Sorted(maps.Keys(values)) {
		slices.Sort(values[name])
		all = append(all, label{name, strings.Join(values[name], ";")})
	}
	return all
}

// number formats a value as Prometheus's own library does.
func number(v float64) string {
	if v == 0 {
		return "0" // also for negative zero
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (f *family) write(out *bytes.Buffer) {
	fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", f.name, helpEscapes.Replace(strings.ToValidUTF8(f.help, "\uFFFD")), f.name, f.kind)
	slices.SortStableFunc(f.series, func(a, b series) int {
		return cmp.Or(cmp.Compare(len(a.labels), len(b.labels)),
			slices.CompareFunc(a.labels, b.labels, func(a, b label) int { return cmp.Compare(a.value, b.value) }))
	})
	for _, s := range f.series {
		for _, one := range s.samples {
			out.WriteString(f.name + one.suffix)
			all := s.labels
			if one.bound != "" {
				all = append(slices.Clip(all), label{"le", one.bound})
			}
			between := byte('{')
			for _, l := range all {
				out.WriteByte(between)
				out.WriteString(l.name + `="` + labelEscapes.Replace(l.value) + `"`)
				between = ','
			}
			if len(all) > 0 {
				out.WriteByte('}')
			}
			out.WriteString(" " + one.value + "\n")
		}
	}
}
