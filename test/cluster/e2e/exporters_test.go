package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/test/client"
	"onefire/test/cluster/install"
	"onefire/test/cluster/node"
)

// rules are those of exporters.rules, each with the stock rule that it has the
// shape of, and the kind of what it is about.
var rules = map[string]struct{ stock, kind string }{
	"NodeNotReady":         {"KubeNodeNotReady", "Node"},
	"VolumeFillingUp":      {"KubePersistentVolumeFillingUp", "PersistentVolumeClaim"},
	"AutoscalerMaxedOut":   {"KubeHpaMaxedOut", "HorizontalPodAutoscaler"},
	"FilesystemAlmostFull": {"NodeFilesystemAlmostOutOfSpace", "Node"},
	"PodCrashLooping":      {"KubePodCrashLooping", "Pod"},
	"ContainerMemory":      {"CPUThrottlingHigh", "Pod"},
}

// stockInstalls are the names that stock-rules.json has for the installs.
var stockInstalls = map[string]string{"Chart": "kube-prometheus-stack", "Jsonnet": "kube-prometheus"}

// subject is what an object is about: a rule, and a target as one text.
type subject struct{ rule, target string }

// subjects are what the fires of a site must have objects about under one scrape,
// with the number of alerts that stand on each. Without a look at the API server
// only jsonnet's labels say which node node-exporter means: there all disks of the
// node are one object, and in the chart's each disk is one.
func (s *site) subjects(i install.Install, diskIsNode bool) map[subject]int {
	all := map[subject]int{}
	for f, alerts := range s.alerts {
		target := rules[f.rule].kind + "/" + s.name + "/" + f.name
		switch {
		case f.rule == "NodeNotReady":
			target = "Node/" + s.name + "-" + f.name
		case f.rule == "FilesystemAlmostFull" && (diskIsNode || i.Name == "Jsonnet"):
			target = "Node/" + node.Name
		case f.rule == "FilesystemAlmostFull":
			target = "Unknown " + s.disk("disks", f.name)
		}
		all[subject{f.rule, target}] += alerts
	}
	return all
}

// target is what an object is about. The name of an Unknown says nothing.
func target(o unstructured.Unstructured) string {
	of := func(field string) string { return text(o, "spec", "targetResource", field) }
	switch {
	case of("kind") == "Unknown":
		return "Unknown " + text(o, "spec", "signalLabels", "mountpoint")
	case of("namespace") == "":
		return of("kind") + "/" + of("name")
	}
	return of("kind") + "/" + of("namespace") + "/" + of("name")
}

// active are the objects that are not terminal, of the alerts of an install.
func (w *world) active(i install.Install) map[subject][]unstructured.Unstructured {
	w.t.Helper()
	found := map[subject][]unstructured.Unstructured{}
	for _, o := range w.all() {
		rule := strings.TrimSuffix(text(o, "spec", "signalName"), i.Name)
		if _, ours := rules[rule]; ours && !terminal(o) {
			about := subject{rule, target(o)}
			found[about] = append(found[about], o)
		}
	}
	return found
}

// burns is how many alerts fire of those that an object counts, as it says.
func burns(o unstructured.Unstructured) int {
	others, _, _ := unstructured.NestedSlice(o.Object, "status", "deduplication", "alerts")
	n := 1 + len(others)
	for _, s := range client.RecordOf(&o).States {
		if s.Over() {
			n--
		}
	}
	return n
}

// wrong says in what the objects differ from one for each subject, which knows of
// as many alerts that fire as do, and is marked as resolved if none does. It is empty
// when they do not.
func (s *site) wrong(i install.Install, diskIsNode bool) string {
	s.t.Helper()
	active, wanted := s.active(i), s.subjects(i, diskIsNode)
	for about := range active {
		if _, ok := wanted[about]; !ok {
			return fmt.Sprintf("%s: an object of %s for %s", i.Name, about.rule, about.target)
		}
	}
	for about, alerts := range wanted {
		if n := len(active[about]); n != 1 {
			return fmt.Sprintf("%s: %d objects of %s for %s", i.Name, n, about.rule, about.target)
		}
		o := active[about][0]
		resolved := text(o, "status", "deduplication", "lastResolvedAt") != ""
		if n := burns(o); n != alerts || resolved != (alerts == 0) {
			return fmt.Sprintf("%s: %s for %s, object %s: %d alerts fire of %d, resolved: %t", i.Name, about.rule, about.target, o.GetName(), n, alerts, resolved)
		}
	}
	return ""
}

// settlesBurning waits until nothing is wrong under any scrape.
func (s *site) settlesBurning(diskIsNode bool) {
	s.t.Helper()
	s.until(func() string {
		for _, i := range install.Installs {
			if difference := s.wrong(i, diskIsNode); difference != "" {
				return difference
			}
		}
		return ""
	})
}

// until waits for a difference to go.
func (w *world) until(difference func() string) {
	w.t.Helper()
	last := "nothing was looked at"
	if !assert.Eventually(w.t, func() bool {
		last = difference()
		return last == ""
	}, settled, 5*look) {
		require.FailNow(w.t, last)
	}
}

// counts are the counts of the active objects of all installs, by name.
func (w *world) counts() map[string]int {
	w.t.Helper()
	all := map[string]int{}
	for _, i := range install.Installs {
		for _, objects := range w.active(i) {
			for _, o := range objects {
				all[o.GetName()] = count(o)
			}
		}
	}
	return all
}

// complete ends the active objects, as who remediates does.
func (w *world) complete() {
	w.t.Helper()
	for name := range w.counts() {
		w.kubectl("-n", namespace, "patch", "remediationrequest", name, "--subresource=status", "--type=merge", "-p", `{"status":{"overallPhase":"Completed"}}`)
	}
}

// labelled holds the labels of the alerts that fire against those of the stock rules.
func (w *world) labelled() {
	w.t.Helper()
	content, err := os.ReadFile(filepath.Join(w.p.Repo, "mapping/testdata/targets/stock-rules.json"))
	require.NoError(w.t, err)
	var rows []struct {
		Install, Rule string
		Labels        map[string]string
	}
	require.NoError(w.t, json.Unmarshal(content, &rows))
	stock := map[string][]string{}
	for _, row := range rows {
		stock[row.Install+" "+row.Rule] = slices.Sorted(maps.Keys(row.Labels))
	}
	for _, i := range install.Installs {
		for rule, of := range rules {
			var alerts []struct{ Labels map[string]string }
			require.True(w.t, w.get(alertmanager+"/api/v2/alerts?active=true&filter="+url.QueryEscape("alertname="+rule+i.Name), &alerts))
			require.NotEmpty(w.t, alerts, rule+i.Name)
			for _, a := range alerts {
				require.Equal(w.t, stock[stockInstalls[i.Name]+" "+of.stock], slices.Sorted(maps.Keys(a.Labels)), "%s %s", i.Name, rule)
			}
		}
	}
}

// replaceExporters deletes the pods of all exporters. All labels that they leave
// but the kubelet's are others then.
func (w *world) replaceExporters() {
	w.t.Helper()
	var names []string
	for _, i := range install.Installs {
		names = append(names, i.StateMetrics.Service, i.NodeExporter.Service)
	}
	w.kubectl("-n", "monitoring", "delete", "pod", "-l", "app in ("+strings.Join(names, ",")+")")
}

// told says which object was not told of the alerts that came with the new
// exporters, or is another one than before.
func (s *site) told(before map[string]int) string {
	s.t.Helper()
	for _, i := range install.Installs {
		for about, objects := range s.active(i) {
			name, n := objects[0].GetName(), count(objects[0])
			had, known := before[name]
			kubelet := about.rule == "VolumeFillingUp" || about.rule == "ContainerMemory"
			if !known || n < had || n == had && !kubelet {
				return fmt.Sprintf("%s: %s for %s, object %s counts %d, and had %d", i.Name, about.rule, about.target, name, n, had)
			}
		}
	}
	return ""
}

func TestEachFireHasOneObjectHoweverItIsScraped(t *testing.T) {
	w := newWorld(t)
	w.complete() // An earlier run may have left some.
	t.Cleanup(w.complete)
	s := newSite(w)
	begin := time.Now()
	say := func(what string) { t.Logf("%3.0f s: %s", time.Since(begin).Seconds(), what) }

	s.burn()
	s.burnDisk("a")
	s.burnDisk("b")
	s.settlesBurning(false)
	say(fmt.Sprintf("%d objects under %d scrapes", len(w.counts()), len(install.Installs)))
	w.labelled()

	before := w.counts()
	w.replaceExporters()
	w.until(func() string { return s.told(before) })
	s.settlesBurning(false)
	say("the exporters were replaced, and all objects are the same")

	for _, rule := range []string{"NodeNotReady", "AutoscalerMaxedOut", "VolumeFillingUp", "FilesystemAlmostFull"} {
		s.extinguish(rule, "a")
	}
	s.settlesBurning(false)
	say("one fire of each rule has ended, and no other object is resolved")

	for f, alerts := range s.alerts {
		if alerts > 0 {
			s.extinguish(f.rule, f.name)
		}
	}
	s.settlesBurning(false)
	say("all have ended, and all objects are resolved")
	after := w.counts()
	require.Len(t, after, len(before))
	for name, n := range before {
		require.GreaterOrEqual(t, after[name], n)
	}
}

// TestAFullDiskIsItsNodesWhereOwnersAreLookedFor asks the same of TARGET=owner: the
// API server knows where node-exporter's pod runs.
func TestAFullDiskIsItsNodesWhereOwnersAreLookedFor(t *testing.T) {
	w := newWorld(t)
	w.complete()
	t.Cleanup(w.complete)
	w.choose("owner", "clusterrole/onefire-owner", "clusterrolebinding/onefire-owner")
	s := newSite(w)
	s.burnDisk("a")
	s.burnDisk("b")
	s.settlesBurning(true)
	before := w.counts()
	w.replaceExporters()
	w.until(func() string { return s.told(before) })
	s.settlesBurning(true)
	s.extinguish("FilesystemAlmostFull", "a")
	s.settlesBurning(true)
	s.extinguish("FilesystemAlmostFull", "b")
	s.settlesBurning(true)
}
