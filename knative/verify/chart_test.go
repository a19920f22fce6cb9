package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
)

// A same is a set of values in chart/ci, and what somebody would do to the
// manifests for the same objects.
type same struct {
	variant
	// edits are of files, from one text to another.
	edits [][3]string
}

var sets = map[string]same{
	"url":          {variant: variants["as it is"]},
	"no-crd":       {variant: variants["the CRD is there already"]},
	"reference":    {variant: variants["DataStorage by reference"]},
	"no-audit":     {variant: variants["no audit"]},
	"files":        {variant: variants["all files without Knative"]},
	"audit-files":  {variant: variants["a token for the sink"]},
	"source-files": {variant: variants["a source that serves HTTPS"]},
	"plain":        {variant: variants["without Knative"]},
	"plain-all":    {variant: variants["all without Knative"]},
	"signal":       {variant: variants["objects in alert namespaces"]},
	"owner":        {variant: variants["controllers as targets"]},
	"scope":        {variant: variants["labels that targets have"]},
	"quota":        {variant: variants["a quota"]},
	"kubernaut":    {variant: variants["kubernaut"]},
	"kafka":        {variant: variants["Kafka"]},
	"otlp":         {variant: variants["an OpenTelemetry Collector"]},
	"operator":     {variant: variants["the Prometheus Operator"]},
	"oidc":         {variant: variants["OIDC"]},
	"all":          {variant: variants["all that goes together"]},
	"no-prune":     {variant: variant{unpruned: true}, edits: [][3]string{{"base/kustomization.yaml", "  - prune.yaml\n", ""}}},
	"site": {variant: watched, edits: [][3]string{
		{"kustomization.yaml", "newName: dev.local/onefire, newTag: dev", "newName: registry.example/team/onefire, digest: sha256:" + digest},
		{"kustomization.yaml", "newName: dev.local/onefire-source, newTag: dev", "newName: registry.example/team/alerts, newTag: v1"},
		{"kustomization.yaml", "newName: dev.local/onefire-deadletters, newTag: dev", "newName: registry.example/team/onefire-deadletters, newTag: v1"},
		{"base/function.yaml", `max-scale: "5"`, `max-scale: "20"`},
		{"base/function.yaml", `target: "256"`, `target: "128"`},
		{"base/function.yaml", "memory: 256Mi", "memory: 512Mi"},
		{"base/function.yaml", `value: ":9464"` + "\n", `value: ":9464"` + "\n            - {name: FINGERPRINT, value: resource}\n            - {name: LOG_LEVEL, value: debug}\n"},
		{"base/source.yaml", "replicas: 2", "replicas: 3"},
		{"base/source.yaml", "cpu: 20m", "cpu: 40m"},
		{"base/source.yaml", `value: ":9464"` + "\n", `value: ":9464"` + "\n            - {name: SPLIT, value: notification}\n"},
		{"base/deadletters.yaml", `value: ":9464"` + "\n", `value: ":9464"` + "\n            - {name: LOG_LEVEL, value: debug}\n"},
		{"base/deadletters.yaml", "svc.cluster.local\n              resources:\n                requests:\n                  cpu: 10m", "svc.cluster.local\n                - {name: LOG_LEVEL, value: debug}\n              resources:\n                requests:\n                  cpu: 20m"},
		{"base/networkpolicies.yaml", "metadata.name: monitoring\n", "metadata.name: observers\n"},
		{"base/networkpolicies.yaml", "metadata.name: monitoring\n", "metadata.name: observers\n"},
		{"base/networkpolicies.yaml", "metadata.name: monitoring\n", "metadata.name: observers\n"},
		{"base/prune.yaml", "17 * * * *", "5 3 * * *"},
		{"base/prune.yaml", "value: 168h", "value: 24h"},
		{"base/prune.yaml", "value: 720h\n", "value: \"0\"\n                - {name: LOG_LEVEL, value: debug}\n"},
		{"base/prune.yaml", "memory: 128Mi", "memory: 64Mi"},
		{"base/networkpolicies.yaml", "kourier-system, istio-system, contour-internal", "envoy-internal"},
		{"observability/podmonitor.yaml", "onefire-knative\n  namespace: onefire\n", "onefire-knative\n  namespace: onefire\n  labels: {release: prometheus}\n"},
		{"observability/podmonitor.yaml", "  namespace: onefire\n", "  namespace: onefire\n  labels: {release: prometheus}\n"},
		{"observability/prometheusrule.yaml", "  namespace: onefire\n", "  namespace: onefire\n  labels: {release: prometheus}\n"},
	}},
}

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// extra are the labels that only a chart's objects have, and the one that it
// gives to all of them.
var extra = map[string]string{
	"app.kubernetes.io/part-of":    "onefire",
	"app.kubernetes.io/instance":   "fire",
	"app.kubernetes.io/managed-by": "Helm",
	"helm.sh/chart":                "onefire-0.1.0",
}

// cluster are the kinds that have no namespace.
var cluster = regexp.MustCompile(`^(Namespace|CustomResourceDefinition|ClusterRole|ClusterRoleBinding)$`)

// kept are the objects that outlive a release.
var kept = []string{"Namespace onefire", "CustomResourceDefinition remediationrequests.kubernaut.ai"}

// values reads a set of values.
func values(t *testing.T, set string) map[string]any {
	t.Helper()
	read, err := common.ReadValuesFile(filepath.Join("..", "chart", "ci", set+"-values.yaml"))
	require.NoError(t, err)
	return read
}

// render gives a folder of what helm makes of a chart, which kustomize can
// build and the checks can read.
func render(t *testing.T, dir, namespace string, values map[string]any) (string, error) {
	t.Helper()
	chart, err := loader.Load(dir)
	if err != nil {
		return "", fmt.Errorf("loading: %w", err)
	}
	release := common.ReleaseOptions{Name: "fire", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(chart, values, release, common.DefaultCapabilities)
	if err != nil {
		return "", fmt.Errorf("values: %w", err)
	}
	files, err := engine.Engine{Strict: true}.RenderWithContext(t.Context(), chart, all)
	if err != nil {
		return "", fmt.Errorf("rendering: %w", err)
	}
	var text strings.Builder
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(file, ".yaml") {
			text.WriteString("---\n" + files[file])
		}
	}
	out := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(out, "chart.yaml"), []byte(text.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(out, "kustomization.yaml"), []byte("resources: [chart.yaml]\n"), 0o600))
	return out, nil
}

// plain are objects without what only one of both ways has.
func plain(t *testing.T, all objects, chart bool) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for name, object := range all {
		labels, annotations := object.GetLabels(), object.GetAnnotations()
		for label, value := range extra {
			if chart {
				require.Equal(t, value, labels[label], "%s: %s", name, label)
			}
			delete(labels, label)
		}
		if chart {
			_, there := annotations["helm.sh/resource-policy"]
			require.Equal(t, slices.Contains(kept, name), there, "%s: what stays", name)
			delete(annotations, "helm.sh/resource-policy")
		}
		if len(labels) == 0 {
			object.SetLabels(nil)
		}
		if len(annotations) == 0 {
			object.SetAnnotations(nil)
		}
		text, err := json.MarshalIndent(object, "", " ")
		require.NoError(t, err)
		texts[name] = string(text)
	}
	return texts
}

// differences says what the chart makes otherwise than kustomize.
func differences(t *testing.T, chart, set string) []string {
	t.Helper()
	dir := manifests(t)
	sets[set].choose(t, dir)
	for _, e := range sets[set].edits {
		edit(t, filepath.Join(dir, e[0]), e[1], e[2])
	}
	want, err := build(dir)
	require.NoError(t, err)
	out, err := render(t, chart, "onefire", values(t, set))
	require.NoError(t, err)
	got, err := build(out)
	if err != nil {
		return []string{err.Error()}
	}
	wanted, made := plain(t, want, false), plain(t, got, true)
	var found []string
	for name, text := range wanted {
		if made[name] != text {
			found = append(found, name+": "+cmp.Diff(text, made[name]))
		}
	}
	for name := range made {
		if _, ok := wanted[name]; !ok {
			found = append(found, name+": only the chart makes it")
		}
	}
	return found
}

func TestTheChartMakesWhatKustomizeMakes(t *testing.T) {
	for set := range sets {
		t.Run(set, func(t *testing.T) {
			require.Empty(t, differences(t, "../chart", set))
		})
	}
	there, err := filepath.Glob("../chart/ci/*-values.yaml")
	require.NoError(t, err)
	require.Len(t, there, len(sets), "a set that nothing renders")
}

// The chart's objects pass the checks of the manifests.
func TestTheChartsObjectsHoldTogether(t *testing.T) {
	for set, s := range sets {
		t.Run(set, func(t *testing.T) {
			out, err := render(t, "../chart", "onefire", values(t, set))
			require.NoError(t, err)
			found := problems(t, out, s.variant)
			if set == "site" {
				// Its observers and its gateway are none that the checks know.
				found = slices.DeleteFunc(found, func(p string) bool { return strings.HasPrefix(p, "network: ") })
			}
			require.Empty(t, found)
		})
	}
}

func TestHelmLintFindsNothing(t *testing.T) {
	for set := range sets {
		t.Run(set, func(t *testing.T) {
			for _, message := range lint.RunAll("../chart", values(t, set), "onefire").Messages {
				require.LessOrEqual(t, message.Severity, support.InfoSev, "%s", message)
			}
		})
	}
}

// The chart is whole without what lies around it.
func TestThePackageMakesTheSame(t *testing.T) {
	chart, err := loader.Load("../chart")
	require.NoError(t, err)
	archive, err := chartutil.Save(chart, t.TempDir())
	require.NoError(t, err)
	require.Empty(t, differences(t, archive, "all"))
	saved, err := loader.Load(archive)
	require.NoError(t, err)
	for _, file := range saved.Raw {
		require.NotContains(t, file.Name, "ci/")
		require.NotContains(t, file.Name, "kustomization")
	}
}

func TestAReleaseCanBeInAnotherNamespace(t *testing.T) {
	out, err := render(t, "../chart", "alerts", values(t, "all"))
	require.NoError(t, err)
	all, err := build(out)
	require.NoError(t, err)
	require.Contains(t, all, "Namespace alerts")
	for name, object := range all {
		if kind, _, _ := strings.Cut(name, " "); !cluster.MatchString(kind) {
			require.Equal(t, "alerts", object.GetNamespace(), name)
		}
	}
	text, err := os.ReadFile(filepath.Join(out, "chart.yaml"))
	require.NoError(t, err)
	require.NotRegexp(t, `(namespace: onefire|value: onefire|onefire\.onefire)\b`, string(text))
}

// Each of these is a slip in a template; the comparison must see it.
func TestAChangedTemplateIsFound(t *testing.T) {
	for name, slip := range map[string]struct{ file, from, to, set, want string }{
		"a bound":               {"templates/function.yaml", "timeoutSeconds: 90", "timeoutSeconds: 91", "url", "KnativeService onefire"},
		"a bound without it":    {"templates/plain.yaml", "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 46", "plain", "Deployment onefire"},
		"a value's way":         {"templates/source.yaml", ".Values.source.resources", ".Values.replay.resources", "site", "Deployment onefire-source"},
		"a condition":           {"templates/broker.yaml", "if not (or .Values.broker.config.name .Values.plain.enabled)", "if true", "kafka", "ConfigMap onefire-broker: only the chart"},
		"an object":             {"templates/crd.yaml", "if and .Values.crd.install (not .Values.kubernaut.enabled)", "if false", "url", "CustomResourceDefinition"},
		"a column":              {"templates/crd.yaml", "- {name: Last seen,", "- {name: Last,", "url", "CustomResourceDefinition"},
		"a field no one has":    {"templates/deadletters.yaml", "replicas: 1", "replica: 1", "url", "unknown field"},
		"an image":              {"templates/_helpers.tpl", "@{{ $image.digest }}", ":{{ $image.digest }}", "site", "KnativeService onefire"},
		"an account":            {"templates/prune.yaml", `"onefire.subject" (list . "prune")`, `"onefire.subject" (list . "replay")`, "url", "RoleBinding onefire-prune"},
		"a variable":            {"templates/_function.tpl", "value: owner", "value: labels", "owner", "KnativeService onefire"},
		"a file":                {"templates/_function.tpl", "mountPath: /var/run/onefire/audit-ca", "mountPath: /var/run/onefire/ca", "files", "Deployment onefire"},
		"where people read":     {"templates/observability.yaml", `replace "https://runbooks.example"`, `replace "https://runbook.example"`, "operator", "PrometheusRule onefire"},
		"a rule":                {"files/rules.yaml", "for: 15m", "for: 16m", "operator", "PrometheusRule onefire"},
		"a dashboard's own way": {"templates/dashboard.yaml", `.Files.Get "files/dashboard.json"`, `"{}"`, "operator", "ConfigMap onefire-dashboard"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS("../chart")))
			edit(t, filepath.Join(dir, slip.file), slip.from, slip.to)
			found := differences(t, dir, slip.set)
			require.Condition(t, func() bool { return contains(found, slip.want) }, "want %q in %q", slip.want, found)
		})
	}
}
