package backtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/dedup"
	"onefire/test/child"
	"onefire/test/client"
)

// repeat is Alertmanager's repeat_interval.
const repeat = 4 * time.Hour

// burns is a month of alerts that ends at a time.
func burns(end time.Time) []burn {
	begin := end.Add(-29 * 24 * time.Hour)
	var all []burn
	add := func(start, length time.Duration, labels ...string) {
		b := burn{map[string]string{}, begin.Add(start), begin.Add(start + length)}
		for _, l := range labels {
			name, value, _ := strings.Cut(l, "=")
			b.labels[name] = value
		}
		all = append(all, b)
	}
	const day = 24 * time.Hour
	add(0, 29*day, "alertname=Watchdog", "severity=none")
	add(day, day, "alertname=QuotaLow", "severity=none", "namespace=shop", "deployment=api")
	// Two targets, and one of them again after its end, across midnight.
	crash := func(pod string) []string {
		return []string{"alertname=KubePodCrashLooping", "severity=warning", "namespace=shop", "pod=" + pod, "container=api"}
	}
	add(2*day, 30*time.Minute, crash("api-0")...)
	add(2*day+10*time.Minute, 3*time.Hour, crash("api-1")...)
	add(3*day, 9*time.Hour, crash("api-0")...)
	add(9*day-time.Hour, 3*time.Hour, crash("api-1")...)
	// A pause that Alertmanager does not see: it is one fire.
	add(12*day, time.Hour, crash("api-0")...)
	add(12*day+time.Hour+3*time.Minute, time.Hour, crash("api-0")...)
	// Two label sets on one target: overlapping, then one after the other, then
	// one that burns on from the other.
	wait := func(container string) []string {
		return []string{"alertname=KubeContainerWaiting", "severity=warning", "namespace=shop", "pod=api-0", "container=" + container}
	}
	add(4*day, 5*time.Hour, wait("api")...)
	add(4*day+time.Hour, 8*time.Hour, wait("proxy")...)
	add(5*day, time.Hour, wait("api")...)
	add(5*day+2*time.Hour, time.Hour, wait("proxy")...)
	add(6*day, time.Hour, wait("api")...)
	add(6*day+time.Hour, time.Hour, wait("proxy")...)
	// No Kubernetes object, two machines.
	add(7*day, 5*time.Hour, "alertname=HostDown", "severity=critical", "instance=10.0.0.1:9100", "job=hosts")
	add(7*day, 10*time.Minute, "alertname=HostDown", "severity=critical", "instance=10.0.0.2:9100", "job=hosts")
	// Another rule on a target that has alerts already.
	add(4*day+30*time.Minute, 2*time.Hour, "alertname=PodSlow", "severity=info", "namespace=shop", "pod=api-0")
	add(20*day, 4*day, "alertname=DeploymentReplicas", "severity=page", "namespace=shop", "deployment=api")
	return all
}

// counts are what a rule comes to, by the backtest or by posting its alerts.
type counts struct {
	LabelSets, Fires, Objects, Repeats, Filtered int
}

// target is what an object or a rule's row is aimed at.
type target struct{ APIVersion, Kind, Name, Namespace string }

type report struct {
	Rules []struct {
		counts
		Alertname string
		Targets   []target
	}
	Total    counts
	Findings []struct {
		Alertname, Finding, Text string
		Labels, FoldsWith        []string
		Targets                  []target
	}
}

// backtest runs the backtest on a Prometheus.
func backtest(t *testing.T, url string, environment []string, arguments ...string) (code int, out, problems string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), functionBinary, append([]string{"explain", "-prometheus", url}, arguments...)...)
	command.Env = append(os.Environ(), environment...)
	var o, e bytes.Buffer
	command.Stdout, command.Stderr = &o, &e
	if err := command.Run(); err != nil {
		require.NotNil(t, command.ProcessState, "%v", err)
	}
	return command.ProcessState.ExitCode(), o.String(), e.String()
}

// TestABacktestSaysWhatPostingTheSameAlertsMakes fills a Prometheus, asks the
// backtest for what would have been made, and then posts each notification of
// that history to the function, in the order of time.
func TestABacktestSaysWhatPostingTheSameAlertsMakes(t *testing.T) {
	url := prometheus(t)
	all := burns(time.Now().Truncate(evaluation).Add(-10 * time.Minute))
	fill(t, url, all)
	for _, fingerprint := range []string{"alert", "resource"} {
		t.Run(fingerprint, func(t *testing.T) {
			w := newWorld(t, "backtest-"+fingerprint, "FINGERPRINT="+fingerprint)
			code, out, problems := backtest(t, url, w.environment, "-since", "30d", "-repeat-interval", repeat.String(), "-o", "json")
			require.Zero(t, code, problems)
			require.Empty(t, problems)
			var said report
			require.NoError(t, json.Unmarshal([]byte(out), &said))

			w.live(fires(all))
			got, targets := map[string]counts{}, map[string][]target{}
			for _, r := range said.Rules {
				got[r.Alertname] = r.counts
				targets[r.Alertname] = r.Targets
			}
			require.Equal(t, w.made, got)
			w.requireObjects(targets)

			total := counts{}
			for _, c := range w.made {
				total = counts{total.LabelSets + c.LabelSets, total.Fires + c.Fires, total.Objects + c.Objects, total.Repeats + c.Repeats, total.Filtered + c.Filtered}
			}
			require.Equal(t, total, said.Total)
			require.Positive(t, total.Objects)
			require.Greater(t, total.Repeats, 20, "there was something to count")
			var findings []string
			for _, f := range said.Findings {
				findings = append(findings, fmt.Sprintf("%s %s %v%v", f.Finding, f.Alertname, f.Labels, f.FoldsWith))
			}
			require.Equal(t, map[string][]string{
				"alert": {"noObject HostDown [][]", "folds KubeContainerWaiting [container][]"},
				"resource": {"noObject HostDown [][]", "folds KubeContainerWaiting [container][PodSlow]",
					"folds PodSlow [][KubeContainerWaiting]"},
			}[fingerprint], findings)
		})
	}
}

// TestABacktestLooksForTargets looks for them in a cluster that has one of them.
func TestABacktestLooksForTargets(t *testing.T) {
	url := prometheus(t)
	fill(t, url, burns(time.Now().Truncate(evaluation).Add(-10*time.Minute)))
	w := newWorld(t, "backtest-looks")
	pod := &unstructured.Unstructured{}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetName("api-0")
	_, err := w.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace("shop").Create(t.Context(), pod, metav1.CreateOptions{})
	require.NoError(t, err)

	code, out, problems := backtest(t, url, nil, "-kubeconfig", kubeconfig, "-fail", "-o", "json")
	require.Equal(t, 3, code, "%s", problems)
	require.Empty(t, problems)
	var said report
	require.NoError(t, json.Unmarshal([]byte(out), &said))
	missing := map[string][]target{}
	for _, f := range said.Findings {
		if f.Finding == "missing" {
			missing[f.Alertname] = f.Targets
		}
	}
	require.Equal(t, map[string][]target{
		"KubePodCrashLooping": {{"v1", "Pod", "api-1", "shop"}},
		"DeploymentReplicas":  {{"apps/v1", "Deployment", "api", "shop"}},
	}, missing)

	code, out, problems = backtest(t, url, nil, "-since", "5m")
	require.Equal(t, 1, code, "%s", out)
	require.Contains(t, problems, `has no ALERTS{alertstate="firing"}`)
}

// fires are burns as Alertmanager notifies of them: what is back within its
// group_interval has never ended for it.
func fires(burns []burn) []burn {
	var all []burn
	for _, b := range burns {
		i := slices.IndexFunc(all, func(f burn) bool {
			return maps.Equal(f.labels, b.labels) && !f.end.After(b.start) && b.start.Sub(f.end) < 5*time.Minute
		})
		if i >= 0 {
			all[i].end = b.end
			continue
		}
		all = append(all, b)
	}
	return all
}

// world is a namespace, a function that makes objects there, and what became of
// the alerts that were posted to it.
type world struct {
	t           *testing.T
	environment []string
	url         string
	client      dynamic.Interface
	objects     dynamic.ResourceInterface
	made        map[string]counts
}

func newWorld(t *testing.T, namespace string, environment ...string) *world {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	config.QPS = -1
	c, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	address := child.AddressFor(t)
	w := &world{t: t, environment: append(environment, "REMEDIATION_NAMESPACE="+namespace), url: "http://" + address,
		client: c, objects: c.Resource(dedup.Resource).Namespace(namespace), made: map[string]counts{}}
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }))
	t.Cleanup(sink.Close)
	log := &child.Log{}
	f := exec.Command(functionBinary)
	f.Env = append(append(os.Environ(), w.environment...), "KUBECONFIG="+kubeconfig, "AUDIT_SINK="+sink.URL,
		"KUBERNETES_EVENTS=off", "REPLY=summary", "LISTEN_ADDRESS="+address)
	f.Stderr, f.SysProcAttr = log, child.DiesWithUs()
	require.NoError(t, f.Start())
	t.Cleanup(func() {
		require.NoError(t, f.Process.Signal(syscall.SIGTERM))
		require.NoError(t, f.Wait(), "%s", log)
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get(w.url + "/health/liveness")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}, patience, pollEvery, "%s", log)
	return w
}

// live posts each notification of some fires in the order of time, and does
// what a controller does: it completes a request when the last of its alerts has
// ended.
func (w *world) live(fires []burn) {
	w.t.Helper()
	type notification struct {
		at       time.Time
		fire     int
		resolved bool
	}
	var all []notification
	sets := map[string]map[string]bool{}
	for i, f := range fires {
		for at := f.start; !at.After(f.end); at = at.Add(repeat) {
			all = append(all, notification{at, i, false})
		}
		all = append(all, notification{f.end.Add(evaluation), i, true})
		name := f.labels["alertname"]
		if sets[name] == nil {
			sets[name] = map[string]bool{}
		}
		sets[name][fmt.Sprint(f.labels)] = true
		c := w.made[name]
		c.Fires++
		c.LabelSets = len(sets[name])
		w.made[name] = c
	}
	slices.SortStableFunc(all, func(a, b notification) int {
		order := map[bool]int{true: 1}
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(order[a.resolved], order[b.resolved]))
	})
	burning, filtered := map[string]map[int]bool{}, map[int]bool{}
	for n, one := range all {
		f := fires[one.fire]
		name := f.labels["alertname"]
		decision, object := w.post(fmt.Sprint(n), f, one.resolved)
		c := w.made[name]
		switch decision {
		case "new":
			c.Objects++
		case "duplicate":
			c.Repeats++
		case "filtered":
			if !filtered[one.fire] {
				c.Filtered++
			}
			filtered[one.fire] = true
		}
		w.made[name] = c
		switch {
		case !one.resolved && object != "":
			if burning[object] == nil {
				burning[object] = map[int]bool{}
			}
			burning[object][one.fire] = true
		case one.resolved:
			for object, alerts := range burning {
				if delete(alerts, one.fire); len(alerts) == 0 {
					w.complete(object)
					delete(burning, object)
				}
			}
		}
	}
	require.Empty(w.t, burning)
}

// post posts one notification, and returns what the function says of it.
func (w *world) post(id string, f burn, resolved bool) (decision, object string) {
	w.t.Helper()
	alert := map[string]any{"status": "firing", "labels": f.labels, "startsAt": f.start, "annotations": map[string]string{"summary": "It burns."}}
	if resolved {
		alert["status"], alert["endsAt"] = "resolved", f.end.Add(evaluation)
	}
	body, err := json.Marshal(map[string]any{"version": "4", "alerts": []any{alert}})
	require.NoError(w.t, err)
	status, answer, err := client.Post(w.t.Context(), w.url, id, body)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, status, answer)
	var summary struct {
		Alerts []struct{ Decision, Object string }
	}
	require.NoError(w.t, json.Unmarshal([]byte(answer), &summary), answer)
	require.Len(w.t, summary.Alerts, 1)
	return summary.Alerts[0].Decision, summary.Alerts[0].Object
}

func (w *world) complete(object string) {
	w.t.Helper()
	_, name, _ := strings.Cut(object, "/")
	_, err := w.objects.Patch(w.t.Context(), name, types.MergePatchType, []byte(`{"status":{"overallPhase":"Completed"}}`), metav1.PatchOptions{}, "status")
	require.NoError(w.t, err)
}

// requireObjects asks that the objects of the cluster are as many as were
// counted, and aimed where the backtest said.
func (w *world) requireObjects(said map[string][]target) {
	w.t.Helper()
	list, err := w.objects.List(w.t.Context(), metav1.ListOptions{})
	require.NoError(w.t, err)
	made, counted, total := map[string]int{}, 0, counts{}
	for _, o := range list.Items {
		text := func(path ...string) string {
			s, _, _ := unstructured.NestedString(o.Object, path...)
			return s
		}
		name := text("spec", "signalName")
		made[name]++
		n, _, _ := unstructured.NestedInt64(o.Object, "status", "deduplication", "occurrenceCount")
		counted += int(n)
		at := []string{"spec", "targetResource"}
		aim := target{text(append(at, "apiVersion")...), text(append(at, "kind")...), text(append(at, "name")...), text(append(at, "namespace")...)}
		if aim.Kind == "Unknown" {
			aim = target{Kind: aim.Kind} // Its name is a hash of the label set.
		}
		require.Contains(w.t, said[name], aim, name)
	}
	for name, c := range w.made {
		require.Equal(w.t, c.Objects, made[name], name)
		total.Objects += c.Objects
		total.Repeats += c.Repeats
	}
	require.Equal(w.t, total.Objects+total.Repeats, counted)
}
