package observability

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"
)

// Grafana's own schema, strictly: a field that it does not know, one of another type,
// or one that is missing, in the dashboard, its panels and its queries. Only the kinds of
// panels that are there are linked: all of them take minutes to compile.
func TestTheDashboardIsOneOfGrafanas(t *testing.T) {
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(table.VariantConfig())
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
	text := read(t, files+"dashboard.json")
	for _, p := range theDashboard(t).Panels {
		_, there := known.ConfigForPanelcfgVariant(p.Type)
		require.True(t, there, "%s: nothing here knows the schema of %s", p.Title, p.Type)
	}
	check := func(text string) (wrong []string) {
		var d grafana.Dashboard //nolint:staticcheck // The file has the first schema, which each Grafana reads.
		for _, err := range []error{d.UnmarshalJSONStrict([]byte(text)), d.Validate()} {
			var found cog.BuildErrors // Where nothing is wrong it is empty, and not nil.
			if err != nil && !errors.As(err, &found) {
				wrong = append(wrong, err.Error())
			}
			for _, e := range found {
				wrong = append(wrong, e.Error())
			}
		}
		return wrong
	}
	require.Empty(t, check(text))
	for name, slip := range map[string][2]string{
		"a field of the dashboard": {`"refresh":`, `"refreshes":`},
		"a field of a panel":       {`"gridPos":`, `"gridPosition":`},
		"an option of a table":     {`"cellHeight": "sm"`, `"cellHeigth": "sm"`},
		"an option of a graph":     {`"thresholdsStyle":`, `"thresholdStyle":`},
		"a field of a query":       {`"expr":`, `"expression":`},
		"a number in its place":    {`"refId": "A"`, `"refId": 1`},
	} {
		require.Contains(t, text, slip[0], name)
		require.NotEmpty(t, check(strings.Replace(text, slip[0], slip[1], 1)), name)
	}
}

// Where two releases are watched by one Prometheus, each panel is about the one that
// is chosen, and about the requests of the namespaces that are.
func TestEachPanelIsAboutWhatIsChosen(t *testing.T) {
	for _, panel := range theDashboard(t).Panels {
		for _, target := range panel.Targets {
			for _, selector := range selectors(t, target.Expr) {
				matchers := map[string]string{}
				for _, m := range selector.LabelMatchers {
					matchers[m.Name] = m.Type.String() + m.Value
				}
				label, want := "namespace", "=$namespace"
				switch {
				case strings.HasPrefix(selector.Name, "onefire_remediationrequest_"):
					label, want = "request_namespace", "=~$requests"
				case strings.HasPrefix(selector.Name, "kn_eventing_"):
					label, want = "messaging_destination_name", "=trigger:onefire.$namespace"
				case strings.HasPrefix(selector.Name, "kn_"):
					label, want = "k8s_namespace_name", "=$namespace"
				case selector.Name == "ALERTS":
					label, want = "component", "=onefire"
				case selector.Name == "apiserver_request_total":
					continue // It has no namespace.
				}
				require.Equal(t, want, matchers[label], "%s: %s", panel.Title, selector)
			}
		}
	}
}

// Red begins where an alert fires.
func TestAThresholdIsThatOfItsAlert(t *testing.T) {
	bounds := map[string]float64{}
	for _, rule := range parsed(t, read(t, files+"rules.yaml")) {
		if bound := regexp.MustCompile(`> (\d+)\b`).FindStringSubmatch(rule.Expr); bound != nil {
			value, err := strconv.ParseFloat(bound[1], 64)
			require.NoError(t, err)
			bounds[rule.Alert] = value
		}
	}
	d := theDashboard(t)
	for title, row := range map[string]struct{ kind, alert string }{
		"Oldest active request":                         {"stat", "OnefireActiveTooOld"},
		"Age of the oldest active request":              {"timeseries", "OnefireActiveTooOld"},
		"Since the last Watchdog":                       {"stat", "OnefireWatchdogMissing"},
		"Since the last Watchdog, and the last webhook": {"timeseries", "OnefireWatchdogMissing"},
	} {
		steps := d.titled(t, title, row.kind).FieldConfig.Defaults.Thresholds.Steps
		require.NotEmpty(t, steps, title)
		last := steps[len(steps)-1].Value
		require.NotNil(t, last, title)
		require.InDelta(t, bounds[row.alert], *last, 0, title)
	}
}

// The name of an alert that fires leads to its page, where the rules say.
func TestAFiringAlertLeadsToItsPage(t *testing.T) {
	d := theDashboard(t)
	firing := d.titled(t, "Firing alerts of Onefire", "table")
	require.Equal(t, "Alert", firing.Transformations[len(firing.Transformations)-1].Options.RenameByName["alertname"])
	var links []struct{ URL string }
	require.NoError(t, json.Unmarshal(property(t, firing, "Alert", "links"), &links))
	require.Equal(t, "${runbooks}/${__data.fields.Alert}.md", links[0].URL)
	i := slices.IndexFunc(d.Templating.List, func(v struct{ Name, Query string }) bool { return v.Name == "runbooks" })
	require.NotEqual(t, -1, i)
	require.Equal(t, "label_values(onefire:runbooks, url)", d.Templating.List[i].Query)
}

// property is what a panel says of a column.
func property(t *testing.T, p panel, column, id string) json.RawMessage {
	t.Helper()
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if o.Matcher.Options == column && property.ID == id {
				return property.Value
			}
		}
	}
	require.Fail(t, "no such property", "%s: %s", column, id)
	return nil
}

// scraped is a Prometheus that has just scraped a page of metrics.
func scraped(t *testing.T, page string, at time.Time) *teststorage.TestStorage {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "")
	appender := storage.Appender(t.Context())
	for line := range strings.Lines(page) {
		series, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(strings.TrimSpace(line))
		require.NoError(t, err, line)
		_, err = appender.Append(0, series, at.UnixMilli(), values[0].Value)
		require.NoError(t, err)
	}
	require.NoError(t, appender.Commit())
	return storage
}

// tabled is what Grafana shows of a table panel: the rows of all queries that have the
// same labels are one, and columns are named and ordered as the panel says.
func tabled(t *testing.T, p panel, storage *teststorage.TestStorage, at time.Time) (columns []string, rows [][]string) {
	t.Helper()
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	merged := map[string]map[string]string{}
	for _, target := range p.Targets {
		expr := strings.NewReplacer("$requests", ".*", "$namespace", "onefire").Replace(target.Expr)
		query, err := engine.NewInstantQuery(t.Context(), storage, nil, expr, at)
		require.NoError(t, err)
		vector, err := query.Exec(t.Context()).Vector()
		require.NoError(t, err, expr)
		for _, sample := range vector {
			row := merged[sample.Metric.String()]
			if row == nil {
				row = map[string]string{}
				sample.Metric.Range(func(l labels.Label) { row[l.Name] = l.Value })
				merged[sample.Metric.String()] = row
			}
			row["Value #"+target.RefID] = strconv.FormatFloat(sample.F, 'f', -1, 64)
		}
		query.Close()
	}
	organized := p.Transformations[len(p.Transformations)-1].Options
	fields := slices.SortedFunc(maps.Keys(organized.IndexByName), func(a, b string) int {
		return cmp.Compare(organized.IndexByName[a], organized.IndexByName[b])
	})
	for _, field := range fields {
		columns = append(columns, organized.RenameByName[field])
	}
	for _, row := range merged {
		var cells []string
		for i, field := range fields {
			cells = append(cells, shown(t, p, columns[i], row[field]))
		}
		rows = append(rows, cells)
	}
	return columns, rows
}

// shown is a cell as people read it: mapped, and ages as Grafana's unit "s" has them,
// in the largest unit.
func shown(t *testing.T, p panel, column, value string) string {
	t.Helper()
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if o.Matcher.Options != column {
				continue
			}
			switch property.ID {
			case "mappings":
				var mappings []struct {
					Options map[string]struct{ Text string }
				}
				require.NoError(t, json.Unmarshal(property.Value, &mappings))
				if mapped, ok := mappings[0].Options[value]; ok {
					return mapped.Text
				}
			case "unit":
				require.JSONEq(t, `"s"`, string(property.Value), column)
				seconds, err := strconv.ParseFloat(value, 64)
				require.NoError(t, err, column)
				for _, unit := range []struct {
					name string
					of   float64
				}{{"days", 86400}, {"hours", 3600}, {"mins", 60}, {"s", 1}} {
					if seconds >= unit.of {
						return strconv.FormatFloat(math.Round(seconds/unit.of*100)/100, 'f', -1, 64) + " " + unit.name
					}
				}
			}
		}
	}
	return value
}

// The table of active requests in docs/operations.md is what the panel's queries give
// on what kube-state-metrics makes of objects/testdata/requests.yaml.
func TestTheTableOfActiveRequestsIsTheOneInTheDocs(t *testing.T) {
	at := time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)
	columns, rows := tabled(t, theDashboard(t).titled(t, "Active requests", "table"), scraped(t, read(t, "testdata/requests.prom"), at), at)
	// The newest first, as the panel sorts them.
	created := func(row []string) int {
		return slices.IndexFunc([]string{"30 s", "4 mins", "25 mins", "1.67 days"}, func(age string) bool { return age == row[slices.Index(columns, "Age")] })
	}
	slices.SortFunc(rows, func(a, b []string) int { return cmp.Compare(created(a), created(b)) })
	var text bytes.Buffer
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{columns}, rows...) {
		for i, cell := range row {
			row[i] = cmp.Or(cell, "-")
		}
		fmt.Fprintln(out, strings.Join(row, "\t"))
	}
	require.NoError(t, out.Flush())

	const page, begin = "../../docs/operations.md", "<!-- The table of active requests. -->\n```\n"
	there, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(there), begin)
	require.True(t, found)
	_, after, found := strings.Cut(rest, "```\n")
	require.True(t, found)
	want := before + begin + text.String() + "```\n" + after
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
		there = []byte(want)
	}
	require.Equal(t, want, string(there), "go test ./... -update writes it anew")
}
