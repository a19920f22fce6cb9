package verify

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
)

var release = flag.String("release", "", "the folder of a release, which `make release` checks")

// releases are what the manifests of a release choose, with the values of
// site.env.example; what the chart needs for the same; and whether a release must have it.
var releases = map[string]struct {
	variant
	values string
}{
	"install.yaml":                   {variant{on: []string{unaudited}}, "audit: {enabled: false}"},
	"install-datastorage.yaml":       {variant{storage: "kubernaut-system"}, "audit: {url: http://datastorage.kubernaut-system.svc.cluster.local:8080/api/v1/audit/events, namespace: kubernaut-system}"},
	"install-kubernaut.yaml":         {variant{on: []string{kubernaut}, off: []string{"crd"}, storage: "kubernaut-system"}, "kubernaut: {enabled: true}"},
	"install-plain.yaml":             {variant{on: []string{unaudited, unserved}}, "{audit: {enabled: false}, plain: {enabled: true}}"},
	"install-plain-datastorage.yaml": {variant{on: []string{unserved}, storage: "kubernaut-system"}, "{audit: {url: http://datastorage.kubernaut-system.svc.cluster.local:8080/api/v1/audit/events, namespace: kubernaut-system}, plain: {enabled: true}}"},
	"install-plain-kubernaut.yaml":   {variant{on: []string{kubernaut, unserved}, off: []string{"crd"}, storage: "kubernaut-system"}, "{kubernaut: {enabled: true}, plain: {enabled: true}}"},
}

// pinned is an image as a release names it.
var pinned = regexp.MustCompile(`^.+/[^/@:]+@sha256:[0-9a-f]{64}$`)

// TestARelease holds the files of a release against the checks of what they are made of:
// Knative's types, and Helm.
func TestARelease(t *testing.T) {
	if *release == "" {
		// There is nothing to check. The test of test/images/release makes one, and runs this on it.
		t.Skip("make release runs this, on what it made")
	}
	charts, err := filepath.Glob(filepath.Join(*release, "onefire-*.tgz"))
	require.NoError(t, err)
	require.Len(t, charts, 1)
	chart, err := loader.Load(charts[0])
	require.NoError(t, err)
	require.Equal(t, filepath.Base(charts[0]), chart.Metadata.Name+"-"+chart.Metadata.Version+".tgz", "as helm package names it")
	require.Equal(t, "v"+chart.Metadata.Version, chart.Metadata.AppVersion)
	requireWhole(t, chart)
	// The linter wants a folder.
	unpacked := t.TempDir()
	require.NoError(t, chartutil.ExpandFile(unpacked, charts[0]))
	unpacked = filepath.Join(unpacked, chart.Metadata.Name)
	label := extra["helm.sh/chart"]
	extra["helm.sh/chart"] = chart.Metadata.Name + "-" + chart.Metadata.Version
	t.Cleanup(func() { extra["helm.sh/chart"] = label })
	installs, err := filepath.Glob(filepath.Join(*release, "install*.yaml"))
	require.NoError(t, err)
	require.Len(t, installs, len(releases))
	for _, path := range installs {
		t.Run(filepath.Base(path), func(t *testing.T) {
			row, ok := releases[filepath.Base(path)]
			require.True(t, ok, "a manifest that nothing checks")
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "all.yaml"), text, 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [all.yaml]\n"), 0o600))
			require.Empty(t, problems(t, dir, row.variant))
			want, err := build(dir)
			require.NoError(t, err)
			running, err := pods(want)
			require.NoError(t, err)
			for name, p := range running {
				require.Regexp(t, pinned, p.user.Image, name)
			}

			values, err := common.ReadValues([]byte(row.values))
			require.NoError(t, err)
			for _, message := range lint.RunAll(unpacked, values, "onefire").Messages {
				require.LessOrEqual(t, message.Severity, support.InfoSev, "%s", message)
			}
			rendered, err := render(t, unpacked, "onefire", values)
			require.NoError(t, err)
			got, err := build(rendered)
			require.NoError(t, err)
			wanted, made := plain(t, want, false), plain(t, got, true)
			require.Equal(t, wanted, made, "the chart makes what the manifest has")
		})
	}
}

// requireWhole asks that a package has the files that helm package would put into it.
func requireWhole(t *testing.T, packed *chartv2.Chart) {
	t.Helper()
	source, err := loader.Load("../chart")
	require.NoError(t, err)
	files := func(c *chartv2.Chart) (all []string) {
		for _, f := range c.Raw {
			if !strings.HasSuffix(f.Name, ".helmignore") {
				all = append(all, f.Name)
			}
		}
		return all
	}
	require.ElementsMatch(t, files(source), files(packed))
}
