package config

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/labels"

	"onefire/mapping"
)

// sink is the only variable without a default.
const sink = "http://datastorage:8080/api/v1/audit/events"

// minimal is the smallest environment that is right, with more in it.
func minimal(more map[string]string) map[string]string {
	out := map[string]string{"AUDIT_SINK": sink}
	maps.Copy(out, more)
	return out
}

// defaults is what the smallest environment means.
func defaults() Config {
	return Config{
		Port:             "8080",
		ListenAddress:    ":8080",
		Placement:        mapping.PlacementFixed,
		Namespace:        "default",
		Fingerprint:      mapping.ByAlert,
		Target:           TargetLabels,
		Severity:         mapping.SeverityMapped,
		HistoryLimit:     10,
		MaxEventAge:      6 * time.Hour,
		Brake:            "onefire-brake",
		IgnoreAlerts:     []string{"Watchdog", "InfoInhibitor", "TestAlert"},
		ClusterLabel:     "cluster",
		IgnoreSeverities: []string{"none"},
		AuditSink:        sink,
		AuditSchema:      mapping.Schema202608,
		AuditMode:        AuditRequired,
		Reply:            ReplyNone,
		KubernetesEvents: On,
		LogLevel:         slog.LevelInfo,
		OTel:             otelDefaults(),
	}
}

// readable makes a file that can be read and returns its path.
func readable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	return path
}

func TestDefaults(t *testing.T) {
	c, err := Load(minimal(nil))
	require.NoError(t, err)
	require.Equal(t, defaults(), c)
}

func TestEveryVariable(t *testing.T) {
	file := readable(t)
	rows := map[string]struct {
		value  string
		change func(*Config)
	}{
		"PORT":                  {"9090", func(c *Config) { c.Port, c.ListenAddress = "9090", ":9090" }},
		"METRICS_ADDRESS":       {":9464", func(c *Config) { c.MetricsAddress = ":9464" }},
		"GOMEMLIMIT":            {"1GiB", func(c *Config) { c.MemoryLimit = "1GiB" }},
		"LISTEN_ADDRESS":        {"127.0.0.1:8081", func(c *Config) { c.ListenAddress = "127.0.0.1:8081" }},
		"KUBECONFIG":            {"config.go", func(c *Config) { c.Kubeconfig = "config.go" }},
		"POD_NAMESPACE":         {"onefire", func(c *Config) { c.PodNamespace, c.Namespace = "onefire", "onefire" }},
		"REMEDIATION_PLACEMENT": {"signal", func(c *Config) { c.Placement = mapping.PlacementSignal }},
		"REMEDIATION_NAMESPACE": {"ops", func(c *Config) { c.Namespace = "ops" }},
		"FINGERPRINT":           {"resource", func(c *Config) { c.Fingerprint = mapping.ByResource }},
		"TARGET":                {"owner", func(c *Config) { c.Target = TargetOwner }},
		"TARGETS": {`{team="sre"} kind=Pod name=$pod`, func(c *Config) {
			r, err := mapping.ParseTargetRules(`{team="sre"} kind=Pod name=$pod`)
			require.NoError(t, err)
			c.TargetRules = r
		}},
		"TARGET_LABELS": {"rollout=argoproj.io/v1alpha1/Rollout", func(c *Config) {
			l, err := mapping.ParseTargetLabels("rollout=argoproj.io/v1alpha1/Rollout")
			require.NoError(t, err)
			c.TargetLabels = l
		}},
		"IDENTITY_IGNORE_LABELS": {"build, zone,", func(c *Config) { c.IdentityIgnore = []string{"build", "zone"} }},
		"CLUSTER_LABEL":          {"k8s_cluster", func(c *Config) { c.ClusterLabel = "k8s_cluster" }},
		"CLUSTER_NAME":           {"eu-1", func(c *Config) { c.ClusterName = "eu-1" }},
		"HISTORY_LIMIT":          {"0", func(c *Config) { c.HistoryLimit = 0 }},
		"MAX_EVENT_AGE":          {"0", func(c *Config) { c.MaxEventAge = 0 }},
		"BRAKE":                  {"none", func(c *Config) { c.Brake = NoBrake }},
		"SEVERITY":               {"raw", func(c *Config) { c.Severity = mapping.SeverityRaw }},
		"SEVERITY_MAP": {"page=critical, Warning=medium", func(c *Config) {
			c.Severities = mapping.SeverityMap{"page": mapping.Critical, "warning": mapping.Medium}
		}},
		"SCOPE": {"kubernaut.ai/managed=true", func(c *Config) {
			s, err := labels.Parse("kubernaut.ai/managed=true")
			require.NoError(t, err)
			c.Scope = Selector{s}
		}},
		"IGNORE_ALERTS":     {"Watchdog, DeadMansSwitch", func(c *Config) { c.IgnoreAlerts = []string{"Watchdog", "DeadMansSwitch"} }},
		"IGNORE_SEVERITIES": {"None ,INFO", func(c *Config) { c.IgnoreSeverities = []string{"none", "info"} }},
		"MATCHERS": {`team="sre"`, func(c *Config) {
			m, err := mapping.ParseMatchers(`team="sre"`)
			require.NoError(t, err)
			c.Matchers = m
		}},
		"AUDIT_SINK":       {"https://sink.example/events?x=1", func(c *Config) { c.AuditSink = "https://sink.example/events?x=1" }},
		"K_SINK":           {"http://broker", func(c *Config) { c.Sink = "http://broker" }},
		"AUDIT_SCHEMA":     {"2026-01", func(c *Config) { c.AuditSchema = mapping.Schema202601 }},
		"AUDIT_MODE":       {"best-effort", func(c *Config) { c.AuditMode = AuditBestEffort }},
		"AUDIT_TOKEN_FILE": {file, func(c *Config) { c.AuditTokenFile = file }},
		"AUDIT_CA_FILE":    {file, func(c *Config) { c.AuditCAFile = file }},
		"K_CA_CERTS":       {"-----BEGIN CERTIFICATE-----", func(c *Config) { c.CACerts = "-----BEGIN CERTIFICATE-----" }},
		"K_CE_OVERRIDES": {`{"extensions":{"team":"sre","stage2":"x y"}}`, func(c *Config) {
			c.Overrides = Overrides{Extensions: map[string]string{"team": "sre", "stage2": "x y"}}
		}},
		"KUBERNETES_EVENTS": {"off", func(c *Config) { c.KubernetesEvents = Off }},
		"K_SERVICE":         {"onefire", func(c *Config) { c.Service = "onefire" }},
		"OIDC_AUDIENCE":     {"a", func(c *Config) { c.OIDCAudience = "a" }},
		"OIDC_SUBJECTS":     {"b, c,", func(c *Config) { c.OIDCAudience, c.OIDCSubjects = "a", []string{"b", "c"} }},
		"REPLY":             {"summary", func(c *Config) { c.Reply = ReplySummary }},
		"LOG_LEVEL":         {"debug", func(c *Config) { c.LogLevel = slog.LevelDebug }},
	}
	requireRows(t, reflect.TypeFor[Config](), rows)

	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			want := defaults()
			row.change(&want)
			require.NotEqual(t, want, defaults(), "the row has an effect")
			environment := minimal(map[string]string{name: row.value})
			if name == "OIDC_SUBJECTS" {
				environment["OIDC_AUDIENCE"] = "a" // It is of no use without.
			}
			c, err := Load(environment)
			require.NoError(t, err)
			require.Equal(t, want, c)
		})
	}
}

func TestAnEmptyVariableIsOneThatIsNotSet(t *testing.T) {
	// Manifests often have both. Only those with a default that one may want
	// to be rid of tell the two apart.
	special := []string{"IGNORE_ALERTS", "IGNORE_SEVERITIES", "CLUSTER_LABEL", "AUDIT_SINK"}
	environment := minimal(nil)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if name := field.Tag.Get("env"); name != "" && !slices.Contains(special, name) {
			environment[name] = ""
		}
	}
	c, err := Load(environment)
	require.NoError(t, err)
	require.Equal(t, defaults(), c)
}

func TestWhatGoesBeforeWhat(t *testing.T) {
	for reason, row := range map[string]struct {
		environment map[string]string
		got         func(Config) any
		want        any
	}{
		"AUDIT_SINK goes before K_SINK": {
			map[string]string{"AUDIT_SINK": "http://a", "K_SINK": "http://b"},
			func(c Config) any { return c.AuditSink }, "http://a"},
		"K_SINK stands in for AUDIT_SINK": {
			map[string]string{"AUDIT_SINK": "", "K_SINK": "http://b"},
			func(c Config) any { return c.AuditSink }, "http://b"},
		"REMEDIATION_NAMESPACE goes before POD_NAMESPACE": {
			map[string]string{"REMEDIATION_NAMESPACE": "ops", "POD_NAMESPACE": "onefire"},
			func(c Config) any { return c.Namespace }, "ops"},
		"POD_NAMESPACE stands in for REMEDIATION_NAMESPACE": {
			map[string]string{"REMEDIATION_NAMESPACE": "", "POD_NAMESPACE": "onefire"},
			func(c Config) any { return c.Namespace }, "onefire"},
		"LISTEN_ADDRESS goes before PORT": {
			map[string]string{"LISTEN_ADDRESS": "[::1]:1234", "PORT": "9090"},
			func(c Config) any { return c.ListenAddress }, "[::1]:1234"},
	} {
		t.Run(reason, func(t *testing.T) {
			c, err := Load(minimal(row.environment))
			require.NoError(t, err)
			require.Equal(t, row.want, row.got(c))
		})
	}
}

func TestWithoutAClusterLabelNoAlertIsOfAnotherCluster(t *testing.T) {
	alert := mapping.Alert{Labels: map[string]string{"alertname": "A", "cluster": "pg-main", "pod": "pg-main-2", "namespace": "db"}}
	for value, want := range map[string]string{"": "", "cluster": "pg-main", "region": ""} {
		c, err := Load(minimal(map[string]string{"CLUSTER_LABEL": value}))
		require.NoError(t, err)
		s, err := c.Rules().Signal(alert, time.Time{})
		require.NoError(t, err)
		require.Equal(t, want, s.Cluster, value)
	}
}

func TestNoAuditIsAChoice(t *testing.T) {
	environment := map[string]string{"AUDIT_SINK": "none", "K_SINK": "http://broker"}
	c, err := Load(environment)
	require.NoError(t, err)
	require.Equal(t, NoAudit, c.AuditSink, "it goes before what a SinkBinding sets")
	settings, err := Effective(environment)
	require.NoError(t, err)
	require.Contains(t, settings, Setting{Name: "AUDIT_SINK", Value: "none", From: "environment"})
	_, err = Load(map[string]string{"AUDIT_SINK": "None"})
	require.ErrorContains(t, err, `AUDIT_SINK: "None" is not an http or https URL`)
}

func TestEmptyFiltersAreOff(t *testing.T) {
	c, err := Load(minimal(map[string]string{"IGNORE_ALERTS": ""}))
	require.NoError(t, err)
	require.Empty(t, c.IgnoreAlerts)
	require.Equal(t, []string{"none"}, c.IgnoreSeverities, "the other filter stays")
	watchdog := mapping.Alert{Labels: map[string]string{"alertname": "Watchdog", "severity": "none"}}
	reason, ignored := c.Rules().Ignored(watchdog)
	require.True(t, ignored)
	require.Equal(t, mapping.IgnoredSeverity, reason)

	c, err = Load(minimal(map[string]string{"IGNORE_ALERTS": "", "IGNORE_SEVERITIES": ""}))
	require.NoError(t, err)
	require.Empty(t, c.IgnoreSeverities)
	_, ignored = c.Rules().Ignored(watchdog)
	require.False(t, ignored)
}

func TestOverridesMayBeAbsent(t *testing.T) {
	// Knative writes the variable even when there is nothing to override.
	for reason, value := range map[string]string{
		"nothing":            `{}`,
		"null":               `null`,
		"no extensions":      `{"extensions":null}`,
		"an unknown section": `{"somethingNew":{"a":1}}`,
	} {
		t.Run(reason, func(t *testing.T) {
			c, err := Load(minimal(map[string]string{"K_CE_OVERRIDES": value}))
			require.NoError(t, err)
			require.Empty(t, c.Overrides.Extensions)
		})
	}
}

func TestLoadLeavesTheEnvironmentAlone(t *testing.T) {
	environment := minimal(map[string]string{"IGNORE_SEVERITIES": " NONE", "K_SINK": ""})
	before := maps.Clone(environment)
	_, err := Load(environment)
	require.NoError(t, err)
	require.Equal(t, before, environment)
}

func TestEnvironmentIsTheProcesss(t *testing.T) {
	t.Setenv("SEVERITY_MAP", "a=low,b=high")
	t.Setenv("IGNORE_ALERTS", "")
	environment := Environment()
	require.Equal(t, "a=low,b=high", environment["SEVERITY_MAP"], "values hold equals signs")
	value, set := environment["IGNORE_ALERTS"]
	require.True(t, set, "a variable that is set and empty is kept: it turns a filter off")
	require.Empty(t, value)
}

func TestRulesHaveEveryPartOfTheMapping(t *testing.T) {
	c, err := Load(minimal(map[string]string{
		"FINGERPRINT": "resource", "SEVERITY_MAP": "page=low", "REMEDIATION_PLACEMENT": "signal",
		"REMEDIATION_NAMESPACE": "ops", "IGNORE_ALERTS": "A", "IGNORE_SEVERITIES": "b", "MATCHERS": "c=d", "AUDIT_SCHEMA": "2026-01",
		"TARGETS": "{} kind=Unknown", "TARGET_LABELS": "app=Pod", "IDENTITY_IGNORE_LABELS": "zone", "CLUSTER_LABEL": "k8s", "CLUSTER_NAME": "eu-1", "MAX_EVENT_AGE": "24h", "BRAKE": "stop",
	}))
	require.NoError(t, err)
	rules := c.Rules()
	require.Equal(t, mapping.Rules{
		Fingerprint:      mapping.ByResource,
		Severity:         mapping.SeverityMapped,
		Severities:       mapping.SeverityMap{"page": mapping.Low},
		Placement:        mapping.PlacementSignal,
		Namespace:        "ops",
		IgnoreAlerts:     []string{"A"},
		IgnoreSeverities: []string{"b"},
		Matchers:         c.Matchers,
		Schema:           mapping.Schema202601,
		Targets:          mapping.Targets{Rules: c.TargetRules, Labels: c.TargetLabels, Ignored: []string{"zone"}},
		ClusterLabel:     "k8s",
		ClusterName:      "eu-1",
		MaxEventAge:      24 * time.Hour,
	}, rules)
	value := reflect.ValueOf(rules)
	for i := range value.NumField() {
		require.False(t, value.Field(i).IsZero(), "%s is not filled in", value.Type().Field(i).Name)
	}
	value = reflect.ValueOf(rules.Targets)
	for i := range value.NumField() {
		require.False(t, value.Field(i).IsZero(), "%s is not filled in", value.Type().Field(i).Name)
	}
}
