package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OTel is what the three commands read of OpenTelemetry's own variables, and of
// the pod that tells one process from another. Nothing is sent without an
// endpoint, and a variable that is only about what is not sent keeps its default.
type OTel struct {
	PodName string `env:"POD_NAME"`
	// Hostname is a pod's name where Kubernetes runs the process, which
	// KubernetesHost says.
	Hostname       string `env:"HOSTNAME"`
	KubernetesHost string `env:"KUBERNETES_SERVICE_HOST"`

	Disabled bool `env:"OTEL_SDK_DISABLED" envDefault:"false"`
	// Endpoint is the base URL of a receiver of OTLP/HTTP. TracesEndpoint and
	// MetricsEndpoint are whole URLs of one signal each; once loaded they are
	// empty only when that signal is not sent.
	Endpoint        string   `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	TracesEndpoint  string   `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"`
	MetricsEndpoint string   `env:"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"`
	TracesExporter  Exporter `env:"OTEL_TRACES_EXPORTER" envDefault:"otlp"`
	MetricsExporter Exporter `env:"OTEL_METRICS_EXPORTER" envDefault:"otlp"`

	Protocol    Protocol    `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/json"`
	Headers     Headers     `env:"OTEL_EXPORTER_OTLP_HEADERS"`
	Compression Compression `env:"OTEL_EXPORTER_OTLP_COMPRESSION" envDefault:"none"`
	// Timeout bounds one export with all that is tried again.
	Timeout Milliseconds `env:"OTEL_EXPORTER_OTLP_TIMEOUT" envDefault:"10000"`
	// Certificate is a file with certificates in PEM, trusted instead of the
	// system's.
	Certificate string `env:"OTEL_EXPORTER_OTLP_CERTIFICATE"`

	ServiceName string     `env:"OTEL_SERVICE_NAME"`
	Resource    Attributes `env:"OTEL_RESOURCE_ATTRIBUTES"`

	Sampler Sampler `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on"`
	// SamplerRatio is the part of traces that the two samplers of a ratio take.
	SamplerRatio float64 `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"1"`

	// MetricInterval is how often metrics are sent.
	MetricInterval Milliseconds `env:"OTEL_METRIC_EXPORT_INTERVAL" envDefault:"60000"`
	Temporality    Temporality  `env:"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" envDefault:"cumulative"`
}

// The values that one of OpenTelemetry's variables may have.
type (
	// Exporter is where a signal goes.
	Exporter string
	// Protocol is how a signal is sent.
	Protocol string
	// Compression is that of a request's body.
	Compression string
	// Sampler says which traces are recorded.
	Sampler string
	// Temporality is what a sent sum or histogram counts from: the process's
	// start, or what was sent before.
	Temporality string
)

// The values of those types, by their names in OpenTelemetry's specification.
const (
	ExporterOTLP Exporter = "otlp"
	ExporterNone Exporter = "none"

	ProtocolJSON Protocol = "http/json"

	CompressionNone Compression = "none"
	CompressionGzip Compression = "gzip"

	SamplerAlwaysOn        Sampler = "always_on"
	SamplerAlwaysOff       Sampler = "always_off"
	SamplerRatio           Sampler = "traceidratio"
	SamplerParentAlwaysOn  Sampler = "parentbased_always_on"
	SamplerParentAlwaysOff Sampler = "parentbased_always_off"
	SamplerParentRatio     Sampler = "parentbased_traceidratio"

	TemporalityCumulative Temporality = "cumulative"
	TemporalityDelta      Temporality = "delta"
	TemporalityLowMemory  Temporality = "lowmemory"
)

// Milliseconds is a duration that a variable gives as a whole number of
// milliseconds.
type Milliseconds time.Duration

const (
	// leastMilliseconds and mostMilliseconds bound what may be given: a
	// collector that answers sooner than that, or metrics that are sent more
	// seldom, nobody runs.
	leastMilliseconds = 10
	mostMilliseconds  = 3_600_000
)

// String is the variable's form.
func (m Milliseconds) String() string {
	return strconv.FormatInt(time.Duration(m).Milliseconds(), 10)
}

func parseMilliseconds(s string) (any, error) {
	n, _ := strconv.ParseInt(s, 10, 64) // 0 if it is not a number; the nearest if it is too large.
	if n < leastMilliseconds || n > mostMilliseconds {
		return nil, fmt.Errorf("%q is not a number of milliseconds between %d and %d", s, leastMilliseconds, mostMilliseconds)
	}
	return Milliseconds(time.Duration(n) * time.Millisecond), nil
}

// Headers are sent with every export. They are secrets: printed, they show
// their names only.
type Headers map[string]string

// String hides the values.
func (h Headers) String() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		names = append(names, name+"=(hidden)")
	}
	return strings.Join(names, ",")
}

// errHeaders has nothing of the value in it: it is a secret.
var errHeaders = errors.New("not of the form name=value,name=value, with values percent-encoded")

func parseHeaders(s string) (any, error) {
	h, ok := pairs(s)
	if !ok {
		return nil, errHeaders
	}
	for name, value := range h {
		if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") != "" ||
			strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, errHeaders
		}
	}
	return Headers(h), nil
}

// Attributes are those of the resource.
type Attributes map[string]string

// String is the variable's form.
func (a Attributes) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		all = append(all, name+"="+url.PathEscape(a[name]))
	}
	return strings.Join(all, ",")
}

func parseAttributes(s string) (any, error) {
	a, ok := pairs(s)
	if !ok {
		return nil, fmt.Errorf("%q is not of the form name=value,name=value, with values percent-encoded", s)
	}
	return Attributes(a), nil
}

// pairs reads name=value,name=value.
func pairs(s string) (map[string]string, bool) {
	out := map[string]string{}
	for pair := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(pair) == "" {
			continue // A comma at the end.
		}
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || name == "" || err != nil {
			return nil, false
		}
		out[name] = value
	}
	return out, true
}

// unused are the variables of OpenTelemetry that have no effect in an
// environment because what they are about is not sent. They often come with the
// platform, for programs that speak other protocols or have other exporters: none
// of their values may stop the start of a program that sends nothing.
func unused(environment map[string]string) []string {
	disabled, _ := strconv.ParseBool(environment["OTEL_SDK_DISABLED"])
	var names []string
	unsent, unaddressed := 0, 0
	for _, signal := range []struct {
		name  string
		about []string
	}{
		{"TRACES", []string{"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}},
		{"METRICS", []string{"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"}},
	} {
		exporter := "OTEL_" + signal.name + "_EXPORTER"
		addressed := environment["OTEL_EXPORTER_OTLP_ENDPOINT"] != "" || environment["OTEL_EXPORTER_OTLP_"+signal.name+"_ENDPOINT"] != ""
		if !addressed {
			unaddressed++
		}
		if disabled || !addressed {
			names = append(names, exporter)
		}
		if disabled || !addressed || environment[exporter] == string(ExporterNone) {
			unsent++
			names = append(names, signal.about...)
		}
	}
	if unaddressed == 2 {
		names = append(names, "OTEL_SDK_DISABLED")
	}
	if unsent == 2 {
		names = append(names, "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_COMPRESSION",
			"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_RESOURCE_ATTRIBUTES")
	}
	return names
}

// complete fills in where each signal goes; nowhere when it is not sent.
func (o *OTel) complete() {
	if o.PodName == "" && o.KubernetesHost != "" {
		o.PodName = o.Hostname
	}
	for _, signal := range []struct {
		endpoint *string
		exporter Exporter
		path     string
	}{
		{&o.TracesEndpoint, o.TracesExporter, "v1/traces"},
		{&o.MetricsEndpoint, o.MetricsExporter, "v1/metrics"},
	} {
		switch {
		case o.Disabled || signal.exporter == ExporterNone:
			*signal.endpoint = ""
		case *signal.endpoint == "" && o.Endpoint != "":
			base, query, asks := strings.Cut(o.Endpoint, "?")
			*signal.endpoint = strings.TrimSuffix(base, "/") + "/" + signal.path
			if asks {
				*signal.endpoint += "?" + query
			}
		}
	}
}

// validate says what is wrong. A URL that was made of the base one is the base
// one's mistake.
func (o *OTel) validate(wrong func(string, ...any)) {
	httpURL(wrong, "OTEL_EXPORTER_OTLP_ENDPOINT", o.Endpoint)
	base, _, _ := strings.Cut(o.Endpoint, "?")
	for name, endpoint := range map[string]string{
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":  o.TracesEndpoint,
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": o.MetricsEndpoint,
	} {
		if o.Endpoint == "" || !strings.HasPrefix(endpoint, strings.TrimSuffix(base, "/")+"/v1/") {
			httpURL(wrong, name, endpoint)
		}
	}
	oneOf(wrong, "OTEL_TRACES_EXPORTER", o.TracesExporter, ExporterOTLP, ExporterNone)
	oneOf(wrong, "OTEL_METRICS_EXPORTER", o.MetricsExporter, ExporterOTLP, ExporterNone)
	if o.Protocol != ProtocolJSON {
		wrong("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not supported: leave it empty, or set %q, which Collectors accept on the port of http/protobuf (4318)",
			o.Protocol, ProtocolJSON)
	}
	oneOf(wrong, "OTEL_EXPORTER_OTLP_COMPRESSION", o.Compression, CompressionNone, CompressionGzip)
	readableFile(wrong, "OTEL_EXPORTER_OTLP_CERTIFICATE", o.Certificate)
	oneOf(wrong, "OTEL_TRACES_SAMPLER", o.Sampler, SamplerAlwaysOn, SamplerAlwaysOff, SamplerRatio,
		SamplerParentAlwaysOn, SamplerParentAlwaysOff, SamplerParentRatio)
	if !(o.SamplerRatio >= 0 && o.SamplerRatio <= 1) { // NaN neither.
		wrong("OTEL_TRACES_SAMPLER_ARG: %v is not between 0 and 1", o.SamplerRatio)
	}
	oneOf(wrong, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", o.Temporality,
		TemporalityCumulative, TemporalityDelta, TemporalityLowMemory)
}
