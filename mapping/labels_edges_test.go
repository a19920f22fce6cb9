package mapping

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatAPodsNameBeginsWith(t *testing.T) {
	for _, row := range []struct {
		pod, name string
		begins    bool
	}{{"api", "api", true}, {"api-1", "api", true}, {"apix", "api", false}, {"api", "", false}, {"-x", "", false}, {"", "", false}, {"", "x", false}, {"x", "y", false}} {
		require.Equal(t, row.begins, begins(row.pod, row.name), "%+v", row)
	}
	for label, is := range map[string]bool{"instance": true, "endpoint": true, "job": false} {
		require.Equal(t, is, labels{values: map[string]string{label: "x"}}.scraped(), label)
	}
}

func TestWhichLabelsIdentify(t *testing.T) {
	own := map[string]string{"pod": "p", "container": "c", "service": "s", "instance": "i", "namespace": "monitoring"}
	with := func(more ...string) map[string]string { return beside(own, more...) }
	for reason, row := range map[string]struct {
		labels map[string]string
		left   []string // of the reporter's own
	}{
		"kube-state-metrics, of another namespace": {with("job", "kube-state-metrics", "exported_namespace", "shop"), nil},
		"kube-state-metrics, of its own":           {with("job", "kube-state-metrics"), []string{"namespace"}},
		"node-exporter":                            {with("job", "node-exporter"), []string{"instance", "namespace"}},
		"any exporter":                             {with("job", "x"), []string{"pod", "container", "service", "instance", "namespace"}},
		"any exporter, of another namespace":       {with("job", "x", "exported_namespace", "shop"), []string{"pod", "container", "service", "instance", "namespace"}},
		"the same, with the scrape's endpoint":     {with("job", "x", "exported_namespace", "shop", "endpoint", "http"), nil},
	} {
		t.Run(reason, func(t *testing.T) {
			kept := labels{values: row.labels, names: &builtinNames}.identity(nil)
			var left []string
			for _, name := range []string{"pod", "container", "service", "instance", "namespace"} {
				if kept[name] != "" {
					left = append(left, name)
				}
			}
			require.Equal(t, row.left, left)
			require.Equal(t, row.labels["job"], kept["job"])
			require.Equal(t, row.labels["exported_namespace"], kept["exported_namespace"])
		})
	}
}

func TestTextsOfASignalAreCutAtTheirBounds(t *testing.T) {
	long := strings.Repeat("x", 2000)
	rules := Rules{ClusterLabel: "cluster"}
	s, err := rules.Signal(Alert{Labels: map[string]string{"alertname": long, "cluster": long}}, now)
	require.NoError(t, err)
	require.Len(t, s.Name, maxName)
	require.Len(t, s.Cluster, maxName)
	_, err = rules.Signal(Alert{Problem: long}, now)
	require.Len(t, err.Error(), maxErrorText)
	require.Equal(t, Severity("xxx"), Severity("xxx\U0001F525").within(6))
	require.Equal(t, Severity("xxx\U0001F525"), Severity("xxx\U0001F525").within(7))
}

func TestBrokenAlertsAreToldApart(t *testing.T) {
	of := func(raw string) string {
		s, err := Rules{}.Signal(Alert{Problem: "broken", Raw: json.RawMessage(raw)}, now)
		require.Error(t, err)
		return s.AlertID
	}
	require.NotEqual(t, of(`1`), of(`2`))
}

func TestClustersAreToldApart(t *testing.T) {
	rules := Rules{ClusterLabel: "cluster", ClusterName: "here"}
	of := func(cluster string) string {
		return rules.target(Alert{Labels: map[string]string{"alertname": "A", "cluster": cluster}}).target.Name
	}
	require.NotEqual(t, of("east"), of("west"))
	require.Equal(t, of("here"), rules.target(Alert{Labels: map[string]string{"alertname": "A"}}).target.Name)
	require.Empty(t, Rules{}.cluster(map[string]string{"": "x"}))
}

func TestTimesOfTheFirstYear(t *testing.T) {
	require.Equal(t, "0001-06-01", instant("0001-06-01T00:00:00Z").Format(time.DateOnly))
	for _, text := range []string{"0000-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "noon", ""} {
		require.True(t, instant(text).IsZero(), text)
	}
	require.Equal(t, 9999, instant("9999-12-31T23:59:59Z").Year())
}

func TestHowATargetWasChosen(t *testing.T) {
	for reason, row := range map[string]struct {
		labels []string
		want   Target
		chosen string
	}{
		"a renamed label":               {[]string{"exported_deployment", "d", "namespace", "n"}, Target{"apps/v1", "Deployment", "d", "n"}, "label deployment"},
		"node-exporter's node":          {[]string{"job", "node-exporter", "node", "n1", "pod", "p"}, Target{"v1", "Node", "n1", ""}, "node-exporter: label node"},
		"a workload":                    {[]string{"workload", "w", "workload_type", "Deployment", "namespace", "n"}, Target{"apps/v1", "Deployment", "w", "n"}, "labels workload, workload_type"},
		"a workload of no kind":         {[]string{"workload", "w", "workload_type", "odd", "pod", "p", "namespace", "n"}, Target{"v1", "Pod", "p", "n"}, "label pod"},
		"a workload without a name":     {[]string{"workload", "<no value>", "workload_type", "job", "pod", "p", "namespace", "n"}, Target{"v1", "Pod", "p", "n"}, "label pod"},
		"a custom resource, no version": {[]string{"customresource_kind", "Widget", "name", "w", "namespace", "n"}, Target{"", "Widget", "w", "n"}, "labels customresource_kind, name"},
		"no kind of a custom resource":  {[]string{"customresource_kind", "widget", "name", "w", "pod", "p", "namespace", "n"}, Target{"v1", "Pod", "p", "n"}, "label pod"},
		"a renamed pod, and its scrape": {[]string{"exported_pod", "p", "pod", "x", "exported_namespace", "shop", "namespace", "mon", "endpoint", "http"}, Target{"v1", "Pod", "p", "shop"}, "label pod"},
		"an author, and no namespace":   {[]string{authorsKind, "Deployment", authorsName, "d", authorsNamespace, "A B", "namespace", "n"}, Target{"apps/v1", "Deployment", "d", "n"}, "label " + authorsKind},
		"an author, the known version":  {[]string{authorsKind, "Deployment", authorsName, "d", authorsAPIVersion, "apps/v1", "namespace", "n"}, Target{"apps/v1", "Deployment", "d", "n"}, "label " + authorsKind},
		"an author, another version":    {[]string{authorsKind, "Deployment", authorsName, "d", authorsAPIVersion, "example.com/v1", "namespace", "n"}, Target{"example.com/v1", "Deployment", "d", ""}, "label " + authorsKind},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, aim{target: row.want, chosen: row.chosen}, Rules{}.target(Alert{Labels: beside(map[string]string{}, row.labels...)}))
		})
	}
}

func TestWhatOperatorsWriteIsReadAndPrinted(t *testing.T) {
	rules := parsed(t, `{a="b"} kind=Pod name=$pod;{a="b"}  kind=Node  name=$node ; {} kind=Unknown`, "")
	require.Equal(t, `{a="b"} kind=Pod name=$pod; {a="b"} kind=Node name=$node; {} kind=Unknown`, rules.Targets.Rules.String())
	require.Equal(t, aim{target: Target{"v1", "Node", "n1", ""}, chosen: "TARGETS, entry 2"},
		rules.target(Alert{Labels: map[string]string{"a": "b", "node": "n1"}}), "the next one that fits, where the first finds no name")
	for _, text := range []string{`{a="b"} kind=Unknown name=`, `{a="b"} kind=Unknown name`, `{a="b"} kind=Pod name=%x`} {
		_, err := ParseTargetRules(text)
		require.Error(t, err, text)
	}
}

func TestWhatALabelNames(t *testing.T) {
	rules := parsed(t, "", "my_pv=v1/PersistentVolume, ,my_d=example.com/v1/Deployment")
	of := func(label string) Target {
		return rules.target(Alert{Labels: map[string]string{label: "x", "namespace": "n"}}).target
	}
	require.Equal(t, Target{"v1", "PersistentVolume", "x", ""}, of("my_pv"))
	require.Equal(t, Target{"example.com/v1", "Deployment", "x", "n"}, of("my_d"))
}
