package backtest

import (
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

// create creates an object in the namespace shop that another controls.
func (w *world) create(apiVersion, kind, name string, controller *unstructured.Unstructured) *unstructured.Unstructured {
	w.t.Helper()
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetName(name)
	if controller != nil {
		o.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(controller, controller.GroupVersionKind())})
	}
	version, err := schema.ParseGroupVersion(apiVersion)
	require.NoError(w.t, err)
	made, err := w.client.Resource(version.WithResource(strings.ToLower(kind)+"s")).Namespace("shop").Create(w.t.Context(), o, metav1.CreateOptions{})
	require.NoError(w.t, err)
	return made
}
