package config

import (
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// deadLetterDefaults is what an empty environment means.
func deadLetterDefaults() DeadLetters {
	return DeadLetters{
		Port: "8080", ListenAddress: ":8080", Namespace: "onefire", Max: 1000, MaxBytes: 64 << 20,
		ReplayURL: "http://onefire.onefire.svc.cluster.local", LogLevel: slog.LevelInfo, OTel: otelDefaults(),
	}
}

func TestEveryVariableOfTheDeadLetterStore(t *testing.T) {
	c, err := LoadDeadLetters(nil)
	require.NoError(t, err)
	require.Equal(t, deadLetterDefaults(), c)

	rows := map[string]struct {
		value  string
		change func(*DeadLetters)
	}{
		"PORT":            {"9090", func(c *DeadLetters) { c.Port, c.ListenAddress = "9090", ":9090" }},
		"LISTEN_ADDRESS":  {"127.0.0.1:8081", func(c *DeadLetters) { c.ListenAddress = "127.0.0.1:8081" }},
		"METRICS_ADDRESS": {":9464", func(c *DeadLetters) { c.MetricsAddress = ":9464" }},
		"KUBECONFIG":      {"deadletters.go", func(c *DeadLetters) { c.Kubeconfig = "deadletters.go" }},
		"POD_NAMESPACE": {"ops", func(c *DeadLetters) {
			c.PodNamespace, c.Namespace, c.ReplayURL = "ops", "ops", "http://onefire.ops.svc.cluster.local"
		}},
		"DEAD_LETTER_NAMESPACE": {"letters", func(c *DeadLetters) {
			c.Namespace, c.ReplayURL = "letters", "http://onefire.letters.svc.cluster.local"
		}},
		"MAX_DEAD_LETTERS":      {"7", func(c *DeadLetters) { c.Max = 7 }},
		"MAX_DEAD_LETTER_BYTES": {"1048576", func(c *DeadLetters) { c.MaxBytes = 1 << 20 }},
		"REPLAY_URL":            {"http://127.0.0.1:8080", func(c *DeadLetters) { c.ReplayURL = "http://127.0.0.1:8080" }},
		"REPLAY_TOKEN_FILE":     {"deadletters.go", func(c *DeadLetters) { c.ReplayTokenFile = "deadletters.go" }},
		"GOMEMLIMIT":            {"1GiB", func(c *DeadLetters) { c.MemoryLimit = "1GiB" }},
		"LOG_LEVEL":             {"debug", func(c *DeadLetters) { c.LogLevel = slog.LevelDebug }},
	}
	requireRows(t, reflect.TypeFor[DeadLetters](), rows)
	empty := map[string]string{}
	for name, row := range rows {
		empty[name] = ""
		t.Run(name, func(t *testing.T) {
			want := deadLetterDefaults()
			row.change(&want)
			require.NotEqual(t, want, deadLetterDefaults(), "the row has an effect")
			c, err := LoadDeadLetters(map[string]string{name: row.value})
			require.NoError(t, err)
			require.Equal(t, want, c)
		})
	}
	c, err = LoadDeadLetters(empty)
	require.NoError(t, err)
	require.Equal(t, deadLetterDefaults(), c, "an empty variable is one that is not set")
}

func TestWrongVariablesOfTheDeadLetterStoreAreNamed(t *testing.T) {
	rows := map[string]struct{ value, message string }{
		"LISTEN_ADDRESS":        {"8080", `"8080" is not host:port`},
		"METRICS_ADDRESS":       {":90900", `":90900" is not host:port`},
		"KUBECONFIG":            {"/nowhere/config", "no such file"},
		"DEAD_LETTER_NAMESPACE": {"Not_A_Name", `"Not_A_Name" is not a namespace name`},
		"MAX_DEAD_LETTERS":      {"10001", "10001 is not between 1 and 10000"},
		"MAX_DEAD_LETTER_BYTES": {"1000", "1000 is not between 1048576 and 1073741824"},
		"REPLAY_TOKEN_FILE":     {"/nonexistent/token", `open /nonexistent/token`},
		"REPLAY_URL":            {"onefire", `"onefire" is not an http or https URL`},
		"LOG_LEVEL":             {"loud", "unknown name"},
	}
	environment := map[string]string{}
	for name, row := range rows {
		environment[name] = row.value
	}
	_, err := LoadDeadLetters(environment)
	got := problems(t, err)
	require.Len(t, got, len(rows))
	for i, name := range slices.Sorted(maps.Keys(rows)) {
		require.True(t, strings.HasPrefix(got[i], name+": "), got[i])
		require.Contains(t, got[i], rows[name].message)
	}
	for reason, row := range map[string]map[string]string{
		"PORT: ":             {"PORT": "abc"},
		"POD_NAMESPACE: ":    {"POD_NAMESPACE": "Bad_NS"},
		"MAX_DEAD_LETTERS: ": {"MAX_DEAD_LETTERS": "0"},
	} {
		_, err := LoadDeadLetters(row)
		require.ErrorContains(t, err, "wrong configuration: "+reason)
	}
	for _, row := range []map[string]string{{"MAX_DEAD_LETTERS": "-1"}, {"MAX_DEAD_LETTERS": "many"}, {"MAX_DEAD_LETTER_BYTES": "0"}, {"MAX_DEAD_LETTER_BYTES": "-5"}} {
		_, err := LoadDeadLetters(row)
		require.Len(t, problems(t, err), 1)
	}
}
