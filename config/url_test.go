package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoPasswordOfAURLIsShown(t *testing.T) {
	for address, shown := range map[string]string{
		"https://user:hush@sink/events":    "https://user:xxxxx@sink/events", // Its CA is what is wrong.
		"htps://user:hush@sink/events":     "htps://user:xxxxx@sink/events",
		"user:hush@sink":                   "(hidden)@sink",
		"https:user:hush@sink/events":      "(hidden)@sink/events",
		"https://user:hush%@sink/events":   "(hidden)@sink/events",
		"https://user:hu sh@sink:x/events": "(hidden)@sink:x/events",
		"https://sink/a:b@c":               "https://sink/a:b@c",
		"ops@example.org":                  "ops@example.org",
	} {
		t.Run(address, func(t *testing.T) {
			require.Equal(t, shown, Redacted(address))
			settings, err := Effective(map[string]string{"AUDIT_SINK": address, "AUDIT_CA_FILE": "/missing", "OTEL_EXPORTER_OTLP_ENDPOINT": address})
			require.Error(t, err)
			require.NotRegexp(t, "hu ?sh", err.Error())
			for _, s := range settings {
				require.NotRegexp(t, "hu ?sh", s.Value, s.Name)
			}
		})
	}
}
