package config

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// pruneDefaults is what an empty environment means.
func pruneDefaults() Prune {
	return Prune{
		Placement: mapping.PlacementFixed, Namespace: "default", DeadLetterNamespace: "onefire",
		TTL: 7 * 24 * time.Hour, DeadLetterTTL: 30 * 24 * time.Hour, LogLevel: slog.LevelInfo,
	}
}

func TestEveryVariableOfPrune(t *testing.T) {
	rows := map[string]struct {
		value  string
		change func(*Prune)
	}{
		"KUBECONFIG":            {"prune.go", func(c *Prune) { c.Kubeconfig = "prune.go" }},
		"POD_NAMESPACE":         {"ops", func(c *Prune) { c.PodNamespace, c.Namespace, c.DeadLetterNamespace = "ops", "ops", "ops" }},
		"REMEDIATION_PLACEMENT": {"signal", func(c *Prune) { c.Placement = mapping.PlacementSignal }},
		"REMEDIATION_NAMESPACE": {"requests", func(c *Prune) { c.Namespace = "requests" }},
		"DEAD_LETTER_NAMESPACE": {"letters", func(c *Prune) { c.DeadLetterNamespace = "letters" }},
		"TTL":                   {"0", func(c *Prune) { c.TTL = 0 }},
		"DEAD_LETTER_TTL":       {"1h", func(c *Prune) { c.DeadLetterTTL = time.Hour }},
		"LOG_LEVEL":             {"warn", func(c *Prune) { c.LogLevel = slog.LevelWarn }},
	}
	requireRows(t, reflect.TypeFor[Prune](), rows)
	empty := map[string]string{}
	for name, row := range rows {
		empty[name] = ""
		t.Run(name, func(t *testing.T) {
			want := pruneDefaults()
			row.change(&want)
			require.NotEqual(t, want, pruneDefaults(), "the row has an effect")
			c, err := LoadPrune(map[string]string{name: row.value})
			require.NoError(t, err)
			require.Equal(t, want, c)
		})
	}
	c, err := LoadPrune(empty)
	require.NoError(t, err)
	require.Equal(t, pruneDefaults(), c, "an empty variable is one that is not set")
}

func TestWrongVariablesOfPruneAreNamed(t *testing.T) {
	for name, row := range map[string]struct{ variable, value, message string }{
		"a placement":            {"REMEDIATION_PLACEMENT", "nearby", `"nearby" is not one of ["fixed" "signal"]`},
		"a namespace":            {"REMEDIATION_NAMESPACE", "Not_A_Name", `"Not_A_Name" is not a namespace name`},
		"the dead letters'":      {"DEAD_LETTER_NAMESPACE", "Not_A_Name", `"Not_A_Name" is not a namespace name`},
		"a file":                 {"KUBECONFIG", "/nowhere/config", "no such file"},
		"days":                   {"TTL", "7d", `unknown unit "d"`},
		"no unit":                {"TTL", "168", `missing unit`},
		"a negative time":        {"TTL", "-1h", `-1h0m0s is not between 1h0m0s and 87600h0m0s, and not 0, which keeps all`},
		"too short":              {"TTL", "59m", `59m0s is not between`},
		"too long":               {"TTL", "87601h", `87601h0m0s is not between`},
		"letters, too short":     {"DEAD_LETTER_TTL", "1s", `1s is not between`},
		"letters, no time":       {"DEAD_LETTER_TTL", "month", `invalid duration`},
		"a level that is no one": {"LOG_LEVEL", "loud", `unknown name`},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := LoadPrune(map[string]string{row.variable: row.value})
			require.Zero(t, c)
			got := problems(t, err)
			require.Len(t, got, 1)
			require.Contains(t, got[0], row.variable+": ")
			require.Contains(t, got[0], row.message)
		})
	}
	_, err := LoadPrune(map[string]string{"POD_NAMESPACE": "A"})
	require.ErrorContains(t, err, `POD_NAMESPACE: "A" is not a namespace name`)
}

// The function makes what prune deletes, and the store keeps what it deletes.
func TestPruneLooksWhereTheOthersWrite(t *testing.T) {
	for _, environment := range []map[string]string{
		{}, {"POD_NAMESPACE": "ops"}, {"REMEDIATION_NAMESPACE": "requests"}, {"DEAD_LETTER_NAMESPACE": "letters"}, {"REMEDIATION_PLACEMENT": "signal"},
	} {
		p, err := LoadPrune(environment)
		require.NoError(t, err)
		f, err := Load(minimal(environment))
		require.NoError(t, err)
		d, err := LoadDeadLetters(environment)
		require.NoError(t, err)
		require.Equal(t, f.Namespace, p.Namespace)
		require.Equal(t, f.Placement, p.Placement)
		require.Equal(t, d.Namespace, p.DeadLetterNamespace)
	}
}
