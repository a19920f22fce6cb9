package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each bound is right on both of its sides.
func TestBoundsOfVariables(t *testing.T) {
	letters := func(e map[string]string) error { _, err := LoadDeadLetters(e); return err }
	prune := func(e map[string]string) error { _, err := LoadPrune(e); return err }
	function := func(e map[string]string) error { _, err := Load(minimal(e)); return err }
	collected := func(e map[string]string) error {
		e["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://collector:4318"
		return function(e)
	}
	fromSource := func(e map[string]string) error { e["K_SINK"] = broker; _, err := LoadSource(e); return err }
	for _, row := range []struct {
		load           func(map[string]string) error
		name           string
		good, bad      []string
		reasonOfTheBad string
	}{
		{letters, "MAX_DEAD_LETTERS", []string{"1", "10000"}, []string{"0", "10001", "-1"}, "is not between 1 and 10000"},
		{letters, "MAX_DEAD_LETTER_BYTES", []string{"1048576", "1073741824"}, []string{"1048575", "1073741825", "0"}, "is not between 1048576 and 1073741824"},
		{prune, "TTL", []string{"0", "1h", "87600h"}, []string{"59m59s", "87600h0m1s", "-1h"}, "is not between 1h0m0s and 87600h0m0s"},
		{prune, "DEAD_LETTER_TTL", []string{"0", "1h", "87600h"}, []string{"59m59s", "87600h0m1s"}, "is not between"},
		{collected, "OTEL_METRIC_EXPORT_INTERVAL", []string{"10", "3600000"}, []string{"9", "3600001", "1s", "99999999999999999999", "-99999999999999999999"}, "is not a number of milliseconds between 10 and 3600000"},
		{function, "LISTEN_ADDRESS", []string{":0", ":65535", "[::1]:80"}, []string{":65536", ":1a", ":-1", "1", ":", "::1:80"}, "is not host:port"},
		{function, "MAX_EVENT_AGE", []string{"0", "1h", "87600h"}, []string{"59m59s", "87600h0m1s", "-1h"}, "is not between 1h0m0s and 87600h0m0s, and not 0"},
		{function, "HISTORY_LIMIT", []string{"0"}, []string{"-1"}, "is negative"},
		{collected, "OTEL_TRACES_SAMPLER_ARG", []string{"0", "1"}, []string{"-0.1", "1.1", "NaN"}, "is not between 0 and 1"},
		{fromSource, "WINDOW", []string{"1s", "1h"}, []string{"999ms", "1h0m1s"}, "is not between 1s and 1h0m0s"},
		{fromSource, "DELIVERY_TIMEOUT", []string{"1s", "1h"}, []string{"999ms", "1h0m1s"}, "is not between 1s and 1h0m0s"},
		{fromSource, "EVENT_SOURCE", []string{"/~", "/!", "/" + strings.Repeat("x", 1023)}, []string{"/" + strings.Repeat("x", 1024), "/ x", " /x", "/\x7f", "/é", "/%"}, "is not a URI reference of at most 1024 printable"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, value := range row.good {
				require.NoError(t, row.load(map[string]string{row.name: value}))
			}
			for _, value := range row.bad {
				got := problems(t, row.load(map[string]string{row.name: value}))
				require.Len(t, got, 1, value)
				require.Contains(t, got[0], row.reasonOfTheBad)
			}
		})
	}
}

// A value that cannot be read is one problem, and hides no other.
func TestWhatCannotBeReadHidesNothing(t *testing.T) {
	for _, row := range []struct {
		environment map[string]string
		problems    int
	}{
		{map[string]string{"MAX_DEAD_LETTERS": "many"}, 1},
		{map[string]string{"MAX_DEAD_LETTER_BYTES": "many"}, 1},
		{map[string]string{"LOG_LEVEL": "loud", "MAX_DEAD_LETTERS": "-1"}, 2},
		{map[string]string{"LOG_LEVEL": "loud", "MAX_DEAD_LETTER_BYTES": "1"}, 2},
		{map[string]string{"LOG_LEVEL": "loud", "MAX_DEAD_LETTERS": "10001", "MAX_DEAD_LETTER_BYTES": "1073741825"}, 3},
	} {
		_, err := LoadDeadLetters(row.environment)
		require.Len(t, problems(t, err), row.problems, "%v", row.environment)
	}
	_, err := LoadPrune(map[string]string{"REMEDIATION_NAMESPACE": "A_", "DEAD_LETTER_NAMESPACE": "B_", "TTL": "1s", "DEAD_LETTER_TTL": "1s"})
	require.Len(t, problems(t, err), 4)
}

// KUBECONFIG may name several files, and each must be there.
func TestEveryKubeconfigMustBeThere(t *testing.T) {
	environment := func() map[string]string {
		return map[string]string{"KUBECONFIG": strings.Join([]string{"config.go", "/nowhere/a", "/nowhere/b"}, string(filepath.ListSeparator))}
	}
	_, function := Load(minimal(environment()))
	_, letters := LoadDeadLetters(environment())
	_, prune := LoadPrune(environment())
	for _, err := range []error{function, letters, prune} {
		require.Len(t, problems(t, err), 2)
	}
}

// No override may take the place of an attribute that an event has.
func TestNoAttributeIsOverridden(t *testing.T) {
	all := []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "partitionkey", "traceparent"}
	override := func(name string) map[string]string {
		return map[string]string{"K_CE_OVERRIDES": fmt.Sprintf(`{"extensions":{%q:"x"}}`, name), "K_SINK": broker}
	}
	for _, name := range append(all, "causationid") {
		_, err := Load(minimal(override(name)))
		require.ErrorContains(t, err, "is an attribute that an audit event has already", name)
	}
	for _, name := range append(all, "alertname", "severity", "namespace", "status") {
		_, err := LoadSource(override(name))
		require.ErrorContains(t, err, "is an attribute that an event of the source has already", name)
	}
	_, err := LoadSource(override("team"))
	require.NoError(t, err)
}

func TestHeadersAreThoseOfHTTP(t *testing.T) {
	for value, good := range map[string]bool{
		"a=x%09y": true, "a=x%0ay": false, "a=x%7fy": false, "a=x%1fy": false, "a=x y": true, "a=%7e": true, "a(=x": false, "!#$%&'*+-.^_`|~09AZ=x": true,
	} {
		_, err := loadOTel(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_EXPORTER_OTLP_HEADERS": value})
		require.Equal(t, good, err == nil, value)
	}
	many := ""
	for i := range 50 {
		many += fmt.Sprintf("a%d=x,", i)
	}
	_, err := loadOTel(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_EXPORTER_OTLP_HEADERS": many + "b=%7f"})
	require.Error(t, err, "one of many")
}

// Where a signal is not exported its own endpoint has no effect; and a pod that is
// told its name keeps it.
func TestWhatOpenTelemetryLeavesOut(t *testing.T) {
	o, err := loadOTel(t, map[string]string{
		"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://b",
		"POD_NAME": "onefire-1", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "other",
	})
	require.NoError(t, err)
	require.Empty(t, o.TracesEndpoint)
	require.Equal(t, "http://b", o.MetricsEndpoint)
	require.Equal(t, "onefire-1", o.PodName)
	o, err = loadOTel(t, map[string]string{"HOSTNAME": "laptop"})
	require.NoError(t, err)
	require.Empty(t, o.PodName, "it is in no cluster")
}

// A variable that is not set comes from nowhere, or from its default, also beside a
// mistake in another.
func TestWhatIsNotSetComesFromNowhere(t *testing.T) {
	for _, environment := range []map[string]string{minimal(nil), minimal(map[string]string{"REPLY": "x"})} {
		settings, _ := Effective(environment)
		got := map[string]Setting{}
		for _, s := range settings {
			got[s.Name] = s
		}
		for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "K_CE_OVERRIDES", "SCOPE"} {
			require.Equal(t, Setting{Name: name}, got[name])
		}
		require.Equal(t, Setting{"FINGERPRINT", "alert", "default"}, got["FINGERPRINT"])
	}
	require.Empty(t, Selector{}.String())
}

func TestEachFileOfTheSourceIsNamed(t *testing.T) {
	for _, name := range []string{"SINK_TOKEN_FILE", "AUTH_TOKEN_FILE", "AUTH_BASIC_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE"} {
		_, err := LoadSource(map[string]string{"K_SINK": broker, name: "/nowhere/file"})
		require.ErrorContains(t, err, name+": open /nowhere/file")
	}
	_, err := loadOTel(t, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "/v1/traces"})
	require.Len(t, problems(t, err), 1)
}

func TestTheMappingReadsWhatItNeeds(t *testing.T) {
	c, err := Mapping(map[string]string{"IGNORE_ALERTS": ""})
	require.NoError(t, err)
	require.Empty(t, c.IgnoreAlerts, "an empty list is one")
	_, err = Mapping(map[string]string{"AUDIT_SINK": "nowhere"})
	require.ErrorContains(t, err, "AUDIT_SINK", "what is wrong is wrong here too")
}
