package observability

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

type dashboard struct {
	Title      string
	Templating struct {
		List []struct{ Name, Query string }
	}
	Panels []panel
}

type panel struct {
	ID          int
	Title, Type string
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []struct{ Value *float64 } }
		}
		Overrides []struct {
			Matcher    struct{ Options string }
			Properties []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
	GridPos         struct{ W, H, X, Y int }
	Targets         []struct{ RefID, Expr, LegendFormat string }
	Transformations []struct {
		ID      string
		Options struct {
			IndexByName  map[string]int
			RenameByName map[string]string
		}
	}
}

// theDashboard reads it.
func theDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(read(t, files+"dashboard.json")), &d))
	require.NotEmpty(t, d.Panels)
	return d
}

// titled is the panel of a title and type.
func (d dashboard) titled(t *testing.T, title, kind string) panel {
	t.Helper()
	i := slices.IndexFunc(d.Panels, func(p panel) bool { return p.Title == title && p.Type == kind })
	require.NotEqual(t, -1, i, title)
	return d.Panels[i]
}

// foreign are metrics of others that the rules and the dashboard use: Knative
// 1.23's (broker/filter, reconciler/autoscaling/kpa) as its OpenTelemetry exporter
// names them, kube-apiserver's, what kube-state-metrics makes of itself, and Prometheus's
// own; and what is made elsewhere than [known] looks: in function/telemetry and in the
// rules.
var foreign = []string{
	"ALERTS",
	"onefire_build_info",
	"onefire:runbooks",
	"kn_eventing_dispatch_duration_seconds_count",
	"kn_eventing_dispatch_duration_seconds_bucket",
	"kn_revision_pods_count",
	"kn_revision_pods_requested",
	"apiserver_request_total",
	"kube_configmap_created",
}

// known are the names of all metrics that may be used: what the code makes, what
// kube-state-metrics is told to make, and foreign ones.
func known(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, name := range foreign {
		names[name] = true
	}
	made := regexp.MustCompile(`"(onefire\.[a-z.]+)"`)
	require.NoError(t, filepath.WalkDir("../../function", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "metrics.go" {
			return err
		}
		content, err := os.ReadFile(path)
		for _, match := range made.FindAllStringSubmatch(string(content), -1) {
			name := strings.ReplaceAll(match[1], ".", "_")
			switch {
			case strings.HasSuffix(name, "_duration"):
				names[name+"_seconds_bucket"], names[name+"_seconds_sum"] = true, true
				name += "_seconds_count"
			case strings.HasSuffix(name, "_timestamp"):
				name += "_seconds"
			case strings.HasSuffix(name, "_size"):
				name += "_bytes"
			case !strings.HasSuffix(name, "_waiting"):
				name += "_total"
			}
			names[name] = true
		}
		return err
	}))
	for _, match := range regexp.MustCompile(`- name: (\w+)`).FindAllStringSubmatch(read(t, folder+"kube-state-metrics.yaml"), -1) {
		names["onefire_remediationrequest_"+match[1]] = true
	}
	return names
}

// names are the metrics of an expression, which must parse.
func names(t *testing.T, expression string) []string {
	t.Helper()
	var all []string
	for _, selector := range selectors(t, expression) {
		all = append(all, selector.Name)
	}
	return all
}

// selectors are what an expression, which must parse, reads.
func selectors(t *testing.T, expression string) (all []*parser.VectorSelector) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(expression, "$__rate_interval", "2m"))
	require.NoError(t, err, expression)
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			all = append(all, selector)
		}
		return nil
	})
	return all
}

func TestRulesUseMetricsThatExist(t *testing.T) {
	exist := known(t)
	for _, rule := range parsed(t, read(t, files+"rules.yaml")) {
		for _, name := range names(t, rule.Expr) {
			require.True(t, exist[name], "%s: nobody makes %s", rule.Alert, name)
		}
	}
}

func TestTheDashboardAsksForMetricsThatExist(t *testing.T) {
	d := theDashboard(t)
	exist, ids, taken := known(t), map[int]bool{}, map[string]int{}
	for _, v := range d.Templating.List {
		if asked := regexp.MustCompile(`^label_values\(([\w:]+), \w+\)$`).FindStringSubmatch(v.Query); v.Name != "datasource" {
			require.NotNil(t, asked, v.Name)
			require.True(t, exist[asked[1]], "variable %s: nobody makes %s", v.Name, asked[1])
		}
	}
	for _, panel := range d.Panels {
		require.False(t, ids[panel.ID], "two panels %d", panel.ID)
		ids[panel.ID] = true
		require.NotEmpty(t, panel.FieldConfig.Defaults.Unit, panel.Title)
		require.NotEmpty(t, panel.Targets, panel.Title)
		for _, target := range panel.Targets {
			for _, name := range names(t, target.Expr) {
				require.True(t, exist[name], "%s: nobody makes %s", panel.Title, name)
			}
		}
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			require.Less(t, x, 24, panel.Title)
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				cell := fmt.Sprint(x, ",", y)
				require.Zero(t, taken[cell], "%s stands over panel %d", panel.Title, taken[cell])
				taken[cell] = panel.ID
			}
		}
	}
}
