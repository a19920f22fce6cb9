package docs

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

var update = flag.Bool("update", false, "write the table of stock rules anew")

const targetsPage = "../../mapping/testdata/targets/README.md"

// TestTheTableOfStockRules is about every alert of the two usual installs: its
// target, and the rule that chooses it.
func TestTheTableOfStockRules(t *testing.T) {
	data, err := os.ReadFile("../../mapping/testdata/targets/stock-rules.json")
	require.NoError(t, err)
	var alerts []struct {
		Install, Rule string
		Labels        map[string]string
	}
	require.NoError(t, json.Unmarshal(data, &alerts))
	// By rule: its kind and what chooses the target, in each install.
	type cell struct{ kind, chosen string }
	cells := map[string]map[string]cell{}
	var order []string
	rules := mapping.Rules{Namespace: "onefire", IgnoreAlerts: []string{"Watchdog", "InfoInhibitor"}}
	for _, a := range alerts {
		alert := mapping.Alert{Labels: a.Labels}
		s, err := rules.Signal(alert, time.Time{})
		require.NoError(t, err)
		c := cell{s.Target.Kind, "`" + strings.TrimPrefix(s.Chosen, "label ") + "`"}
		if _, ignored := rules.Ignored(alert); ignored {
			c = cell{"none: ignored", ""}
		} else if s.Host.Name != "" {
			c.chosen = "its pod's node, with `TARGET=owner`"
		} else if s.Chosen == "" {
			c.chosen = "no label names an object"
		} else if label, ok := strings.CutPrefix(s.Chosen, "node-exporter: label "); ok {
			c.chosen = "`" + label + "` of node-exporter"
		}
		if cells[a.Rule] == nil {
			cells[a.Rule] = map[string]cell{}
			order = append(order, a.Rule)
		}
		cells[a.Rule][a.Install] = c
	}
	rows := map[[3]string][]string{}
	var keys [][3]string
	for _, rule := range order {
		chart, jsonnet := cells[rule]["kube-prometheus-stack"], cells[rule]["kube-prometheus"]
		kind := jsonnet.kind
		if kind != chart.kind {
			kind += " (chart: " + chart.kind + ")"
		}
		key := [3]string{kind, chart.chosen, jsonnet.chosen}
		if rows[key] == nil {
			keys = append(keys, key)
		}
		rows[key] = append(rows[key], rule)
	}
	slices.SortStableFunc(keys, func(a, b [3]string) int { return strings.Compare(a[0], b[0]) })
	var want strings.Builder
	want.WriteString(`# What the rules for targets make of every stock rule

The alerts of stock-rules.json, which are those of the Helm chart kube-prometheus-stack and of kube-prometheus
(jsonnet): the kind of each target, and the label that chooses it by [the rules](../../../docs/targets.md#the-rules).
` + "`make docs`" + ` writes this table.

| target | chosen by, Helm chart | chosen by, jsonnet | rules |
|---|---|---|---|
`)
	for _, key := range keys {
		fmt.Fprintf(&want, "| %s | %s | %s | %s |\n", key[0], key[1], key[2], strings.Join(rows[key], ", "))
	}

	if *update {
		require.NoError(t, os.WriteFile(targetsPage, []byte(want.String()), 0o644)) //nolint:gosec // It is a page of documentation.
		return
	}
	content, err := os.ReadFile(targetsPage)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(content), "`make docs` writes it anew")
}
