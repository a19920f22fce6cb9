package config

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// otelDefaults is what an environment without OpenTelemetry's variables means.
func otelDefaults() OTel {
	return OTel{
		TracesExporter: ExporterOTLP, MetricsExporter: ExporterOTLP, Protocol: ProtocolJSON, Compression: CompressionNone,
		Timeout: Milliseconds(10 * time.Second), Sampler: SamplerParentAlwaysOn, SamplerRatio: 1,
		MetricInterval: Milliseconds(time.Minute), Temporality: TemporalityCumulative,
	}
}

// requireRows requires a row for each variable of a configuration, and no other.
// Those that all three have in common have a table of their own.
func requireRows[R any](t *testing.T, of reflect.Type, rows map[string]R) {
	t.Helper()
	var names []string
	for _, field := range reflect.VisibleFields(of) {
		if len(field.Index) == 1 && !field.Anonymous {
			names = append(names, field.Tag.Get("env"))
		}
	}
	for _, name := range names {
		require.Contains(t, rows, name, "a variable that this table does not know")
	}
	require.Len(t, rows, len(names))
}

// loadOTel loads what the three configurations have in common, and requires
// that all of them read the same.
func loadOTel(t require.TestingT, environment map[string]string) (OTel, error) {
	all := minimal(environment)
	all["K_SINK"] = broker
	c, err := Load(all)
	s, errSource := LoadSource(all)
	d, errDeadLetters := LoadDeadLetters(all)
	require.Equal(t, err, errSource)
	require.Equal(t, err, errDeadLetters)
	require.Equal(t, c.OTel, s.OTel)
	require.Equal(t, c.OTel, d.OTel)
	return c.OTel, err
}

// sent adds an endpoint: without one, only endpoints can be wrong.
func sent(environment map[string]string) map[string]string {
	all := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
	maps.Copy(all, environment)
	return all
}

func TestEveryVariableOfOpenTelemetry(t *testing.T) {
	file := readable(t)
	defaults := func() OTel {
		o := otelDefaults()
		o.Endpoint = "http://collector:4318"
		o.TracesEndpoint, o.MetricsEndpoint = o.Endpoint+"/v1/traces", o.Endpoint+"/v1/metrics"
		return o
	}
	rows := map[string]struct {
		value  string
		change func(*OTel)
	}{
		"POD_NAME":                {"onefire-1", func(o *OTel) { o.PodName = "onefire-1" }},
		"HOSTNAME":                {"laptop", func(o *OTel) { o.Hostname = "laptop" }},
		"KUBERNETES_SERVICE_HOST": {"10.0.0.1", func(o *OTel) { o.KubernetesHost = "10.0.0.1" }},
		"OTEL_SDK_DISABLED":       {"true", func(o *OTel) { o.Disabled, o.TracesEndpoint, o.MetricsEndpoint = true, "", "" }},
		"OTEL_EXPORTER_OTLP_ENDPOINT": {"https://c.example/otlp/", func(o *OTel) {
			o.Endpoint, o.TracesEndpoint, o.MetricsEndpoint = "https://c.example/otlp/", "https://c.example/otlp/v1/traces", "https://c.example/otlp/v1/metrics"
		}},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":  {"http://tempo/t", func(o *OTel) { o.TracesEndpoint = "http://tempo/t" }},
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": {"http://prometheus/m", func(o *OTel) { o.MetricsEndpoint = "http://prometheus/m" }},
		"OTEL_TRACES_EXPORTER":                {"none", func(o *OTel) { o.TracesExporter, o.TracesEndpoint = ExporterNone, "" }},
		"OTEL_METRICS_EXPORTER":               {"none", func(o *OTel) { o.MetricsExporter, o.MetricsEndpoint = ExporterNone, "" }},
		"OTEL_EXPORTER_OTLP_HEADERS": {"Authorization=Bearer%20a%3Db, x = y ,", func(o *OTel) {
			o.Headers = Headers{"Authorization": "Bearer a=b", "x": "y"}
		}},
		"OTEL_EXPORTER_OTLP_COMPRESSION":                    {"gzip", func(o *OTel) { o.Compression = CompressionGzip }},
		"OTEL_EXPORTER_OTLP_TIMEOUT":                        {"2500", func(o *OTel) { o.Timeout = Milliseconds(2500 * time.Millisecond) }},
		"OTEL_EXPORTER_OTLP_CERTIFICATE":                    {file, func(o *OTel) { o.Certificate = file }},
		"OTEL_SERVICE_NAME":                                 {"fire", func(o *OTel) { o.ServiceName = "fire" }},
		"OTEL_RESOURCE_ATTRIBUTES":                          {"team=sre,note=a%2Cb", func(o *OTel) { o.Resource = Attributes{"team": "sre", "note": "a,b"} }},
		"OTEL_TRACES_SAMPLER":                               {"traceidratio", func(o *OTel) { o.Sampler = SamplerRatio }},
		"OTEL_TRACES_SAMPLER_ARG":                           {"0.25", func(o *OTel) { o.SamplerRatio = 0.25 }},
		"OTEL_METRIC_EXPORT_INTERVAL":                       {"5000", func(o *OTel) { o.MetricInterval = Milliseconds(5 * time.Second) }},
		"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": {"delta", func(o *OTel) { o.Temporality = TemporalityDelta }},
	}
	other := maps.Clone(rows)
	other["OTEL_EXPORTER_OTLP_PROTOCOL"] = rows["POD_NAME"] // It has one value only.
	requireRows(t, reflect.TypeFor[OTel](), other)
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			want := defaults()
			row.change(&want)
			require.NotEqual(t, want, defaults(), "the row has an effect")
			o, err := loadOTel(t, sent(map[string]string{name: row.value}))
			require.NoError(t, err)
			require.Equal(t, want, o)
		})
	}
}

func TestAQueryOfTheBaseEndpointStaysBehindThePaths(t *testing.T) {
	o, err := loadOTel(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c.example/otlp/?tenant=a/b"})
	require.NoError(t, err)
	require.Equal(t, "https://c.example/otlp/v1/traces?tenant=a/b", o.TracesEndpoint)
	require.Equal(t, "https://c.example/otlp/v1/metrics?tenant=a/b", o.MetricsEndpoint)
	_, err = loadOTel(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "c.example?tenant=a"})
	require.EqualError(t, err, `wrong configuration: OTEL_EXPORTER_OTLP_ENDPOINT: "c.example?tenant=a" is not an http or https URL`)
}

func TestAPodsHostnameIsItsName(t *testing.T) {
	o, err := loadOTel(t, map[string]string{"HOSTNAME": "onefire-1", "KUBERNETES_SERVICE_HOST": "10.0.0.1"})
	require.NoError(t, err)
	require.Equal(t, "onefire-1", o.PodName)
}

// wrongOTel has a wrong value for each variable that can have one, where all is
// sent, and what the message must say beside its name.
var wrongOTel = map[string]struct{ value, message string }{
	"OTEL_SDK_DISABLED":                                 {"maybe", "invalid syntax"},
	"OTEL_EXPORTER_OTLP_ENDPOINT":                       {"collector:4318", `"collector:4318" is not an http or https URL`},
	"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":                {"tempo", `"tempo" is not an http or https URL`},
	"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT":               {"ftp://x", `"ftp://x" is not an http or https URL`},
	"OTEL_TRACES_EXPORTER":                              {"zipkin", `"zipkin" is not one of ["otlp" "none"]`},
	"OTEL_METRICS_EXPORTER":                             {"prometheus", `"prometheus" is not one of ["otlp" "none"]`},
	"OTEL_EXPORTER_OTLP_PROTOCOL":                       {"grpc", `"grpc" is not supported: leave it empty, or set "http/json"`},
	"OTEL_EXPORTER_OTLP_HEADERS":                        {"Bearer secret", "not of the form name=value"},
	"OTEL_EXPORTER_OTLP_COMPRESSION":                    {"zstd", `"zstd" is not one of ["none" "gzip"]`},
	"OTEL_EXPORTER_OTLP_TIMEOUT":                        {"10s", `"10s" is not a number of milliseconds between 10 and 3600000`},
	"OTEL_EXPORTER_OTLP_CERTIFICATE":                    {"/nonexistent/ca.crt", "open /nonexistent/ca.crt"},
	"OTEL_RESOURCE_ATTRIBUTES":                          {"team", `"team" is not of the form name=value`},
	"OTEL_TRACES_SAMPLER":                               {"often", `"often" is not one of ["always_on"`},
	"OTEL_TRACES_SAMPLER_ARG":                           {"NaN", "NaN is not between 0 and 1"},
	"OTEL_METRIC_EXPORT_INTERVAL":                       {"0", `"0" is not a number of milliseconds`},
	"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": {"both", `"both" is not one of ["cumulative"`},
}

func TestAWrongVariableOfOpenTelemetryIsNamed(t *testing.T) {
	all := map[string]string{}
	for name, row := range wrongOTel {
		all[name] = row.value
		t.Run(name, func(t *testing.T) {
			_, err := loadOTel(t, sent(map[string]string{name: row.value}))
			got := problems(t, err)
			require.Len(t, got, 1)
			require.True(t, strings.HasPrefix(got[0], name+": "), "%q begins with the name", got[0])
			require.Contains(t, got[0], row.message)
			require.NotContains(t, got[0], "secret")
		})
	}
	_, err := loadOTel(t, all)
	require.Len(t, problems(t, err), len(wrongOTel), "one message names them all: %v", err)
}

// notEndpoints are the values of wrongOTel but for the endpoints', with more that
// are meant for other programs.
func notEndpoints(more map[string]string) map[string]string {
	all := map[string]string{}
	for name, row := range wrongOTel {
		if !strings.HasSuffix(name, "_ENDPOINT") {
			all[name] = row.value
		}
	}
	maps.Copy(all, more)
	return all
}

func TestWhatIsNotSentStopsNoStart(t *testing.T) {
	const protocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
	for reason, environment := range map[string]map[string]string{
		"the usual protocol of a platform":   {protocol: "http/protobuf"},
		"an empty endpoint":                  {protocol: "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": ""},
		"no endpoint, and all else is wrong": notEndpoints(nil),
		"the SDK is disabled": notEndpoints(map[string]string{
			"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}),
		"no exporters": notEndpoints(map[string]string{
			"OTEL_SDK_DISABLED": "", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}),
		"metrics alone": {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://prometheus/m", "OTEL_TRACES_EXPORTER": "zipkin",
			"OTEL_TRACES_SAMPLER": "parentbased_jaeger_remote", "OTEL_TRACES_SAMPLER_ARG": "endpoint=http://jaeger:14250"},
		"traces alone": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_METRICS_EXPORTER": "none", "OTEL_METRIC_EXPORT_INTERVAL": "1m"},
	} {
		t.Run(reason, func(t *testing.T) {
			o, err := loadOTel(t, environment)
			require.NoError(t, err)
			require.Equal(t, strings.HasPrefix(reason, "metrics"), o.MetricsEndpoint != "")
			require.Equal(t, strings.HasPrefix(reason, "traces"), o.TracesEndpoint != "")
		})
	}
}

func TestWhatIsSentIsStillChecked(t *testing.T) {
	for reason, row := range map[string]struct {
		environment map[string]string
		wrong       string
	}{
		"the protocol of metrics alone": {map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://prometheus/m", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			"OTEL_EXPORTER_OTLP_PROTOCOL"},
		"the sampler of traces alone": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://tempo/t", "OTEL_TRACES_SAMPLER": "often"},
			"OTEL_TRACES_SAMPLER"},
		"headers of traces, without metrics": {sent(map[string]string{"OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_HEADERS": "secret"}),
			"OTEL_EXPORTER_OTLP_HEADERS"},
		"whether the SDK is disabled": {sent(map[string]string{"OTEL_SDK_DISABLED": "maybe"}), "OTEL_SDK_DISABLED"},
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := loadOTel(t, row.environment)
			got := problems(t, err)
			require.Len(t, got, 1)
			require.True(t, strings.HasPrefix(got[0], row.wrong+": "), got[0])
		})
	}
}

func TestHeadersThatNoRequestCanHaveAreRefused(t *testing.T) {
	for reason, value := range map[string]string{
		"no value": "a", "no name": "=secret", "a broken escape": "a=%zzsecret", "a line break": "a=b%0d%0asecret:x", "a space in a name": "a b=secret",
		"a NUL": "a=%00secret",
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := loadOTel(t, sent(map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": value}))
			require.ErrorContains(t, err, "OTEL_EXPORTER_OTLP_HEADERS: not of the form")
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestAttributesAreReadAsTheyAreShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Attributes(rapid.MapOfN(rapid.StringMatching(`[a-z.]{1,8}`), rapid.String(), 1, 4).Draw(t, "attributes"))
		o, err := loadOTel(t, sent(map[string]string{"OTEL_RESOURCE_ATTRIBUTES": want.String()}))
		require.NoError(t, err)
		require.Equal(t, want, o.Resource)
	})
}
