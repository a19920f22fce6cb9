package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEverySettingSaysWhereItComesFrom(t *testing.T) {
	settings, err := Effective(map[string]string{
		"PORT": "9000", "POD_NAMESPACE": "ops", "IGNORE_ALERTS": "", "MATCHERS": `team="sre"`, "SEVERITY_MAP": "page=low",
		"TARGETS": ` {team="sre"} name=$pod  kind=Pod;`, "TARGET_LABELS": "app=Pod", "CLUSTER_LABEL": "", "SCOPE": " managed = true", "IDENTITY_IGNORE_LABELS": "zone, build",
		"K_SINK": "https://user:secret@sink/events", "K_CA_CERTS": "", "LOG_LEVEL": "", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
		"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20secret,a=b", "OTEL_RESOURCE_ATTRIBUTES": "b=x%20y,a=1", "K_CE_OVERRIDES": `{"extensions":{"a":"b"}}`,
	})
	require.NoError(t, err)
	got := map[string][2]string{}
	for _, s := range settings {
		got[s.Name] = [2]string{s.Value, s.From}
	}
	require.Equal(t, map[string][2]string{
		"PORT":                   {"9000", "environment"},
		"LISTEN_ADDRESS":         {":9000", "derived"},
		"METRICS_ADDRESS":        {"", ""},
		"KUBECONFIG":             {"", ""},
		"POD_NAMESPACE":          {"ops", "environment"},
		"REMEDIATION_PLACEMENT":  {"fixed", "default"},
		"REMEDIATION_NAMESPACE":  {"ops", "derived"},
		"FINGERPRINT":            {"alert", "default"},
		"TARGET":                 {"labels", "default"},
		"TARGETS":                {`{team="sre"} kind=Pod name=$pod`, "environment"},
		"TARGET_LABELS":          {"app=Pod", "environment"},
		"IDENTITY_IGNORE_LABELS": {"zone,build", "environment"},
		"CLUSTER_LABEL":          {"", "environment"},
		"CLUSTER_NAME":           {"", ""},
		"HISTORY_LIMIT":          {"10", "default"},
		"MAX_EVENT_AGE":          {"6h0m0s", "default"},
		"BRAKE":                  {"onefire-brake", "default"},
		"SEVERITY":               {"map", "default"},
		"SEVERITY_MAP":           {"page=low", "environment"},
		"SCOPE":                  {"managed=true", "environment"},
		"IGNORE_ALERTS":          {"", "environment"},
		"IGNORE_SEVERITIES":      {"none", "default"},
		"MATCHERS":               {`{team="sre"}`, "environment"},
		"AUDIT_SINK":             {"https://user:xxxxx@sink/events", "derived"},
		"K_SINK":                 {"https://user:xxxxx@sink/events", "environment"},
		"AUDIT_SCHEMA":           {"2026-08", "default"},
		"AUDIT_MODE":             {"required", "default"},
		"AUDIT_TOKEN_FILE":       {"", ""},
		"AUDIT_CA_FILE":          {"", ""},
		"K_CA_CERTS":             {"", ""},
		"K_CE_OVERRIDES":         {`{"extensions":{"a":"b"}}`, "environment"},
		"KUBERNETES_EVENTS":      {"on", "default"},
		"K_SERVICE":              {"", ""},
		"OIDC_AUDIENCE":          {"", ""},
		"OIDC_SUBJECTS":          {"", ""},
		"GOMEMLIMIT":             {"", ""},
		"REPLY":                  {"none", "default"},
		"LOG_LEVEL":              {"INFO", "default"},

		"POD_NAME":                                          {"", ""},
		"HOSTNAME":                                          {"", ""},
		"KUBERNETES_SERVICE_HOST":                           {"", ""},
		"OTEL_SDK_DISABLED":                                 {"false", "default"},
		"OTEL_EXPORTER_OTLP_ENDPOINT":                       {"http://collector:4318", "environment"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":                {"http://collector:4318/v1/traces", "derived"},
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT":               {"http://collector:4318/v1/metrics", "derived"},
		"OTEL_TRACES_EXPORTER":                              {"otlp", "default"},
		"OTEL_METRICS_EXPORTER":                             {"otlp", "default"},
		"OTEL_EXPORTER_OTLP_PROTOCOL":                       {"http/json", "default"},
		"OTEL_EXPORTER_OTLP_HEADERS":                        {"Authorization=(hidden),a=(hidden)", "environment"},
		"OTEL_EXPORTER_OTLP_COMPRESSION":                    {"none", "default"},
		"OTEL_EXPORTER_OTLP_TIMEOUT":                        {"10000", "default"},
		"OTEL_EXPORTER_OTLP_CERTIFICATE":                    {"", ""},
		"OTEL_SERVICE_NAME":                                 {"", ""},
		"OTEL_RESOURCE_ATTRIBUTES":                          {"a=1,b=x%20y", "environment"},
		"OTEL_TRACES_SAMPLER":                               {"parentbased_always_on", "default"},
		"OTEL_TRACES_SAMPLER_ARG":                           {"1", "default"},
		"OTEL_METRIC_EXPORT_INTERVAL":                       {"60000", "default"},
		"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": {"cumulative", "default"},
	}, got)
}

func TestWrongSettingsAreShownAsTheyWereWritten(t *testing.T) {
	settings, err := Effective(map[string]string{"LOG_LEVEL": "loud", "K_CA_CERTS": "-----BEGIN CERTIFICATE-----",
		"OTEL_EXPORTER_OTLP_HEADERS": "secret", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
	require.Contains(t, settings, Setting{"OTEL_EXPORTER_OTLP_HEADERS", "(hidden)", "environment"})
	require.ErrorContains(t, err, "OTEL_EXPORTER_OTLP_HEADERS")
	require.NotContains(t, err.Error(), "secret")
	require.ErrorContains(t, err, "LOG_LEVEL")
	require.ErrorContains(t, err, "AUDIT_SINK")
	require.Contains(t, settings, Setting{"LOG_LEVEL", "loud", "environment"})
	require.Contains(t, settings, Setting{"K_CA_CERTS", "PEM, 27 bytes", "environment"})
}

func TestWhatHasNoEffectIsShownAsUnused(t *testing.T) {
	settings, err := Effective(map[string]string{"AUDIT_SINK": "http://sink", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_HEADERS": "a=secret"})
	require.NoError(t, err)
	require.Contains(t, settings, Setting{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "unused"})
	require.Contains(t, settings, Setting{"OTEL_EXPORTER_OTLP_HEADERS", "(hidden)", "unused"})
	require.Contains(t, settings, Setting{"OTEL_EXPORTER_OTLP_TIMEOUT", "10000", "default"})
}

func TestTheMappingNeedsNoSink(t *testing.T) {
	c, err := Mapping(map[string]string{"FINGERPRINT": "resource", "TARGET": "owner"})
	require.NoError(t, err)
	require.EqualValues(t, "resource", c.Rules().Fingerprint)
	require.Equal(t, TargetOwner, c.Target)
	_, err = Mapping(map[string]string{"FINGERPRINT": "x", "SEVERITY_MAP": "y"})
	require.ErrorContains(t, err, "FINGERPRINT")
	require.ErrorContains(t, err, "SEVERITY_MAP")
	require.NotContains(t, err.Error(), "AUDIT_SINK")
}
