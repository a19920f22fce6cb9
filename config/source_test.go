package config

import (
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const broker = "http://broker-ingress.knative-eventing.svc.cluster.local/onefire/onefire"

// minimalSource is the smallest environment that is right, with more in it.
func minimalSource(more map[string]string) map[string]string {
	out := map[string]string{"K_SINK": broker}
	maps.Copy(out, more)
	return out
}

// sourceDefaults is what the smallest environment means.
func sourceDefaults() Source {
	return Source{
		Port:            "8080",
		ListenAddress:   ":8080",
		Sink:            broker,
		Split:           SplitAlert,
		Window:          30 * time.Second,
		DeliveryTimeout: 5 * time.Minute,
		Watchdog:        "Watchdog",
		LogLevel:        slog.LevelInfo,
		OTel:            otelDefaults(),
	}
}

func TestEveryVariableOfTheSource(t *testing.T) {
	file := readable(t)
	rows := map[string]struct {
		value  string
		change func(*Source)
	}{
		"PORT":            {"9090", func(c *Source) { c.Port, c.ListenAddress = "9090", ":9090" }},
		"LISTEN_ADDRESS":  {"127.0.0.1:8081", func(c *Source) { c.ListenAddress = "127.0.0.1:8081" }},
		"METRICS_ADDRESS": {":9464", func(c *Source) { c.MetricsAddress = ":9464" }},
		"K_SINK":          {"https://sink.example/x?y=1", func(c *Source) { c.Sink = "https://sink.example/x?y=1" }},
		"K_CA_CERTS":      {"-----BEGIN", func(c *Source) { c.CACerts = "-----BEGIN" }},
		"K_CE_OVERRIDES": {`{"extensions":{"team":"sre"}}`, func(c *Source) {
			c.Overrides = Overrides{Extensions: map[string]string{"team": "sre"}}
		}},
		"SINK_TOKEN_FILE":  {file, func(c *Source) { c.SinkTokenFile = file }},
		"SPLIT":            {"notification", func(c *Source) { c.Split = SplitNotification }},
		"WINDOW":           {"2m", func(c *Source) { c.Window = 2 * time.Minute }},
		"EVENT_SOURCE":     {"urn:prod-eu", func(c *Source) { c.EventSource = "urn:prod-eu" }},
		"DELIVERY_TIMEOUT": {"20s", func(c *Source) { c.DeliveryTimeout = 20 * time.Second }},
		"WATCHDOG":         {"DeadMansSwitch", func(c *Source) { c.Watchdog = "DeadMansSwitch" }},
		"AUTH_TOKEN_FILE":  {file, func(c *Source) { c.TokenFile = file }},
		"AUTH_BASIC_FILE":  {file, func(c *Source) { c.BasicFile = file }},
		"TLS_CERT_FILE":    {file, func(c *Source) { c.CertFile, c.KeyFile = file, file }},
		"TLS_KEY_FILE":     {file, func(c *Source) { c.CertFile, c.KeyFile = file, file }},
		"GOMEMLIMIT":       {"1GiB", func(c *Source) { c.MemoryLimit = "1GiB" }},
		"POD_NAMESPACE":    {"onefire", func(c *Source) { c.PodNamespace = "onefire" }},
		"LOG_LEVEL":        {"debug", func(c *Source) { c.LogLevel = slog.LevelDebug }},
	}
	partner := map[string]string{"TLS_CERT_FILE": "TLS_KEY_FILE", "TLS_KEY_FILE": "TLS_CERT_FILE"}
	requireRows(t, reflect.TypeFor[Source](), rows)

	c, err := LoadSource(minimalSource(nil))
	require.NoError(t, err)
	require.Equal(t, sourceDefaults(), c)
	empty := minimalSource(nil)
	for name, row := range rows {
		if name != "K_SINK" {
			empty[name] = ""
		}
		t.Run(name, func(t *testing.T) {
			want := sourceDefaults()
			row.change(&want)
			require.NotEqual(t, want, sourceDefaults(), "the row has an effect")
			environment := minimalSource(map[string]string{name: row.value})
			if other := partner[name]; other != "" {
				environment[other] = row.value
			}
			c, err := LoadSource(environment)
			require.NoError(t, err)
			require.Equal(t, want, c)
		})
	}
	c, err = LoadSource(empty)
	require.NoError(t, err)
	require.Equal(t, sourceDefaults(), c, "an empty variable is one that is not set")
}

func TestAWrongVariableOfTheSourceIsNamed(t *testing.T) {
	rows := map[string]struct{ value, message string }{
		"LISTEN_ADDRESS":   {"8080", `"8080" is not host:port`},
		"METRICS_ADDRESS":  {":90900", `":90900" is not host:port`},
		"K_SINK":           {"broker", `"broker" is not an http or https URL`},
		"K_CE_OVERRIDES":   {`{"extensions":{"severity":"high"}}`, `"severity" is an attribute that an event of the source has already`},
		"SPLIT":            {"group", `"group" is not one of ["alert" "notification"]`},
		"WINDOW":           {"0s", `0s is not between 1s and 1h0m0s`},
		"DELIVERY_TIMEOUT": {"five minutes", `invalid duration`},
		"EVENT_SOURCE":     {"a b", `"a b" is not a URI reference`},
		"AUTH_TOKEN_FILE":  {"/nonexistent/token", `open /nonexistent/token`},
		"SINK_TOKEN_FILE":  {"/nonexistent/token", `open /nonexistent/token`},
		"AUTH_BASIC_FILE":  {"/nonexistent/basic", `open /nonexistent/basic`},
		"TLS_CERT_FILE":    {"/nonexistent/tls.crt", `open /nonexistent/tls.crt`},
		"LOG_LEVEL":        {"loud", `unknown name`},
	}
	all := map[string]string{}
	for name, row := range rows {
		all[name] = row.value
		environment := minimalSource(map[string]string{name: row.value})
		if name == "TLS_CERT_FILE" {
			environment["TLS_KEY_FILE"] = "source.go"
		}
		_, err := LoadSource(environment)
		got := problems(t, err)
		require.Len(t, got, 1)
		require.True(t, strings.HasPrefix(got[0], name+": "), "%q begins with the name", got[0])
		require.Contains(t, got[0], row.message)
	}
	all["TLS_KEY_FILE"] = "source.go"
	c, err := LoadSource(all)
	require.Zero(t, c)
	require.Len(t, problems(t, err), len(rows), "one message names them all: %v", err)
}

func TestTheSourceNeedsASink(t *testing.T) {
	_, err := LoadSource(nil)
	require.Len(t, problems(t, err), 1)
	require.ErrorContains(t, err, "K_SINK: required")
}

func TestACertificateNeedsItsKey(t *testing.T) {
	_, err := LoadSource(minimalSource(map[string]string{"TLS_CERT_FILE": "source.go"}))
	require.ErrorContains(t, err, "TLS_KEY_FILE: required with TLS_CERT_FILE")
	_, err = LoadSource(minimalSource(map[string]string{"TLS_KEY_FILE": "source.go"}))
	require.ErrorContains(t, err, "TLS_CERT_FILE: required with TLS_KEY_FILE")
}
