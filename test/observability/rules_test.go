package observability

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// runbooks stands in for where docs/runbooks can be read, which kustomize and the
// chart put in.
const runbooks = "https://runbooks.example/"

const (
	// folder is what kustomize and Prometheus read, files what the chart brings along too.
	folder = "../../knative/observability/"
	files  = "../../knative/chart/files/"
)

// row is a timeline: what Prometheus scrapes each minute, and when an alert fires.
type row struct {
	reason, alert, load string
	quiet, firing       []int // Minutes.
	// says is what its summary says while it fires; empty: that is not asked.
	says string
}

func parsed(t *testing.T, content string) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.Parse([]byte(content), false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	require.Empty(t, errs)
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	// The first says where the runbooks are.
	require.Equal(t, "onefire:runbooks", all[0].Record)
	return all[1:]
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// wrong says where a row's alert fires and should not, or the other way.
func wrong(t *testing.T, all []rulefmt.Rule, r row) []string {
	t.Helper()
	var rule *rules.AlertingRule
	for _, f := range all {
		if f.Alert == r.alert {
			expression, err := parser.NewParser(parser.Options{}).ParseExpr(f.Expr)
			require.NoError(t, err)
			rule = rules.NewAlertingRule(f.Alert, expression, time.Duration(f.For), 0, labels.FromMap(f.Labels),
				labels.FromMap(f.Annotations), labels.EmptyLabels(), "", true, promslog.NewNopLogger())
		}
	}
	require.NotNil(t, rule, r.alert)
	load := ""
	for line := range strings.Lines(strings.TrimSpace(r.load)) {
		load += "\t" + strings.TrimSpace(line) + "\n"
	}
	if load != "" {
		load = "load 1m\n" + load
	}
	storage := promqltest.LoadedStorage(t, load)
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	query := rules.EngineQueryFunc(engine, storage)
	expected := map[int]bool{}
	last := 0
	for _, minute := range r.firing {
		expected[minute], last = true, max(last, minute)
	}
	for _, minute := range r.quiet {
		expected[minute], last = false, max(last, minute)
	}
	var faults []string
	for minute := 0; minute <= last; minute++ {
		_, err := rule.Eval(t.Context(), 0, time.Unix(int64(minute)*60, 0), query, nil, 0)
		require.NoError(t, err)
		fires := false
		for _, a := range rule.ActiveAlerts() {
			fires = fires || a.State == rules.StateFiring
			if summary := a.Annotations.Get("summary"); r.says != "" && summary != r.says {
				faults = append(faults, "it says: "+summary)
			}
			a.Annotations.Range(func(l labels.Label) {
				if strings.Contains(l.Value, "error expanding") || strings.Contains(l.Value, "<no value>") {
					faults = append(faults, fmt.Sprintf("annotation %s: %s", l.Name, l.Value))
				}
			})
		}
		if want, asked := expected[minute]; asked && want != fires {
			faults = append(faults, fmt.Sprintf("minute %d: fires %t, should %t", minute, fires, want))
		}
	}
	return faults
}

func TestAlertsFireWhenTheyShouldAndNotBefore(t *testing.T) {
	all := parsed(t, read(t, files+"rules.yaml"))
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, r := range timelines {
		t.Run(r.alert+" "+r.reason, func(t *testing.T) {
			require.Empty(t, wrong(t, all, r))
		})
		fires[r.alert] = fires[r.alert] || len(r.firing) > 0
		quiet[r.alert] = quiet[r.alert] || len(r.quiet) > 0
	}
	for _, rule := range all {
		require.True(t, fires[rule.Alert] && quiet[rule.Alert], "%s has no timeline in which it fires, or none in which it is quiet", rule.Alert)
	}
}

func TestARuleThatIsBrokenIsNoticed(t *testing.T) {
	whole := read(t, files+"rules.yaml")
	for name, m := range mutations {
		t.Run(name, func(t *testing.T) {
			from := strings.Index(whole, "- alert: "+m.alert+"\n")
			require.NotEqual(t, -1, from)
			end := len(whole)
			if next := strings.Index(whole[from+1:], "- alert: "); next >= 0 {
				end = from + 1 + next
			}
			part := whole[from:end]
			require.Contains(t, part, m.old)
			broken := parsed(t, whole[:from]+strings.ReplaceAll(part, m.old, m.new)+whole[end:])
			var noticed []string
			for _, r := range timelines {
				if r.alert == m.alert {
					noticed = append(noticed, wrong(t, broken, r)...)
				}
			}
			require.NotEmpty(t, noticed, "no timeline notices")
		})
	}
}

func TestEachAlertHasAPageAndAPlaceToGo(t *testing.T) {
	require.Contains(t, read(t, files+"rules.yaml"), "labels: {url: "+strings.TrimSuffix(runbooks, "/")+"}\n")
	pages := map[string]bool{}
	for _, rule := range parsed(t, read(t, files+"rules.yaml")) {
		page := "docs/runbooks/" + rule.Alert + ".md"
		require.Equal(t, runbooks+rule.Alert+".md", rule.Annotations["runbook_url"])
		pages[rule.Alert+".md"] = true
		content, err := os.ReadFile("../../" + page)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(content), "# "+rule.Alert+"\n"), page)
		require.Regexp(t, `^(critical|warning)$`, rule.Labels["severity"])
		require.Equal(t, "onefire", rule.Labels["component"])
	}
	there, err := os.ReadDir("../../docs/runbooks")
	require.NoError(t, err)
	for _, f := range there {
		require.True(t, pages[f.Name()], "%s belongs to no alert", f.Name())
	}
}

func TestThePrometheusRuleSaysTheSame(t *testing.T) {
	var spec map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(read(t, files+"rules.yaml")), &spec))
	made, err := yaml.Marshal(map[string]any{
		"apiVersion": "monitoring.coreos.com/v1",
		"kind":       "PrometheusRule",
		"metadata":   map[string]any{"name": "onefire", "namespace": "onefire"},
		"spec":       spec,
	})
	require.NoError(t, err)
	made = append([]byte("# Made from ../chart/files/rules.yaml: go test ./... -update, in test/observability.\n"), made...)
	if *update {
		require.NoError(t, os.WriteFile(folder+"prometheusrule.yaml", made, 0o644))
	}
	require.Equal(t, string(made), read(t, folder+"prometheusrule.yaml"), "run with -update")
}
