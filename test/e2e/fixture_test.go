package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/dedup"
	"onefire/mapping"
	"onefire/test/child"
	"onefire/test/client"
	"onefire/test/datastorage"
	"onefire/test/kubefault"
)

// world is a namespace of its own, a DataStorage and any number of functions.
type world struct {
	t         testing.TB
	namespace string
	schema    mapping.Schema
	data      *datastorage.Server
	dataURL   string
	// requests counts those to DataStorage.
	requests *atomic.Int64
	objects  dynamic.ResourceInterface
}

// queueInterval lets DataStorage store within the time of a test what it answered
// with 202, and not at once.
const queueInterval = 100 * time.Millisecond

var worlds atomic.Int64

func newWorld(t testing.TB, schema mapping.Schema) *world {
	t.Helper()
	data, err := datastorage.Open(datastorage.Options{
		Path: filepath.Join(t.TempDir(), "data.db"), Schema: schema, QueueInterval: queueInterval,
	})
	require.NoError(t, err)
	requests := &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		ofPod(r)
		data.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, data.Close())
	})
	namespace := fmt.Sprintf("test-%d", worlds.Add(1))
	return &world{t: t, namespace: namespace, schema: schema, data: data, dataURL: server.URL + datastorage.AuditPath, requests: requests, objects: objects.Namespace(namespace)}
}

// podPath begins the path of an audit sink of a pod's own.
const podPath = "/pods/"

// ofPod gives a request the address of the pod that its path names: DataStorage limits the
// requests of an address, and each pod of a cluster has one.
func ofPod(r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, podPath); ok {
		address, path, _ := strings.Cut(rest, "/")
		r.URL.Path = "/" + path
		r.Header.Set("True-Client-Ip", address)
	}
}

// fn is a function process.
type fn struct {
	url     string
	process *exec.Cmd
	log     *child.Log
}

// prepare makes a function process that is not started yet. env is on top of
// what every function of this world has.
func (w *world) prepare(binary string, env ...string) *fn {
	w.t.Helper()
	address := child.AddressFor(w.t)
	f := &fn{url: "http://" + address, process: exec.Command(binary), log: &child.Log{}}
	f.process.Env = append(append(os.Environ(), "KUBECONFIG="+kubeconfig, "AUDIT_SINK="+w.dataURL, "AUDIT_SCHEMA="+string(w.schema),
		"REMEDIATION_NAMESPACE="+w.namespace, "LISTEN_ADDRESS="+address), env...)
	f.process.Stderr = f.log
	f.process.SysProcAttr = child.DiesWithUs()
	return f
}

// start starts a function process and waits until it serves.
func (w *world) start(env ...string) *fn {
	w.t.Helper()
	return w.serve(w.prepare(functionBinary, env...))
}

// serve starts a prepared function process and waits until it serves.
func (w *world) serve(f *fn) *fn {
	w.t.Helper()
	require.NoError(w.t, f.process.Start())
	w.t.Cleanup(func() { w.stop(f) })
	require.Eventually(w.t, func() bool {
		resp, err := http.Get(f.url + "/health/liveness")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}, patience, 5*time.Millisecond, "%s", f.log)
	return f
}

// stop ends a function as Kubernetes does, and asks for a clean end.
func (w *world) stop(f *fn) {
	if f.process.ProcessState != nil {
		return
	}
	require.NoError(w.t, f.process.Process.Signal(syscall.SIGTERM))
	err := f.process.Wait()
	require.NoError(w.t, err, "%s", f.log)
	require.NotContains(w.t, f.log.String(), "DATA RACE")
	require.NotContains(w.t, f.log.String(), `"panic"`)
}

// post posts an event and returns the answer's status.
func (w *world) post(f *fn, id, body string) int {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	status, _, err := client.Post(ctx, f.url, id, []byte(body))
	require.NoError(w.t, err, "%s", f.log)
	return status
}

// list returns all objects of this world.
func (w *world) list() []unstructured.Unstructured {
	w.t.Helper()
	l, err := w.objects.List(w.t.Context(), metav1.ListOptions{})
	require.NoError(w.t, err)
	return l.Items
}

// only returns the one object of this world.
func (w *world) only() *unstructured.Unstructured {
	w.t.Helper()
	all := w.list()
	require.Len(w.t, all, 1)
	return &all[0]
}

// setStatus merges fields into an object's status, as a controller does.
func (w *world) setStatus(name string, status map[string]any) {
	w.t.Helper()
	patch, err := json.Marshal(map[string]any{"status": status})
	require.NoError(w.t, err)
	_, err = w.objects.Patch(w.t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	require.NoError(w.t, err)
}

// audit returns the audit events of a type; all of them for an empty type. It
// waits for those that DataStorage has accepted for later.
func (w *world) audit(eventType string) []client.AuditEvent {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.data.Queued() == 0 }, time.Minute, queueInterval, "DataStorage stores all that it accepted")
	query := url.Values{}
	if eventType != "" {
		query.Set("event_type", eventType)
	}
	all, err := client.AuditTrail(w.t.Context(), w.dataURL, query)
	require.NoError(w.t, err)
	return all
}

// requireUniqueAudit asks that no two audit events have one id.
func (w *world) requireUniqueAudit() {
	w.t.Helper()
	ids := map[string]bool{}
	for _, e := range w.audit("") {
		require.False(w.t, ids[e.AuditID], "two audit events with the id %s", e.AuditID)
		ids[e.AuditID] = true
	}
}

// activeOf returns the active objects of a fingerprint.
func (w *world) activeOf(ctx context.Context, fingerprint string) ([]unstructured.Unstructured, error) {
	l, err := w.objects.List(ctx, metav1.ListOptions{FieldSelector: "spec.signalFingerprint=" + fingerprint})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(l.Items, func(o unstructured.Unstructured) bool { return terminal(&o) }), nil
}

// terminal is what the contract calls terminal.
func terminal(o *unstructured.Unstructured) bool {
	return o.GetDeletionTimestamp() != nil ||
		slices.Contains(dedup.TerminalPhases(), field(o, "status", "overallPhase"))
}

// faulty is a way to the API server on which calls fail.
type faulty struct {
	*kubefault.Proxy
	kubeconfig string
}

func newFaulty(t testing.TB, choose func(kubefault.Call) kubefault.Fault) faulty {
	t.Helper()
	p, err := kubefault.New(kubeConfig, choose)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	c, err := clientcmd.LoadFromFile(kubeconfig)
	require.NoError(t, err)
	for name := range c.Clusters {
		c.Clusters[name] = p.Cluster()
	}
	f := faulty{p, filepath.Join(t.TempDir(), "kubeconfig")}
	require.NoError(t, clientcmd.WriteToFile(*c, f.kubeconfig))
	return f
}

func count(o *unstructured.Unstructured) int64 {
	n, _, _ := unstructured.NestedInt64(o.Object, "status", "deduplication", "occurrenceCount")
	return n
}

func field(o *unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, path...)
	return s
}

// alert is one alert in JSON, with labels as "name=value".
func alert(status string, labels ...string) string {
	m := map[string]string{}
	for _, l := range labels {
		name, value, _ := strings.Cut(l, "=")
		m[name] = value
	}
	b, err := json.Marshal(map[string]any{
		"status": status, "labels": m, "startsAt": "2026-01-17T11:00:00Z", "endsAt": "2026-01-17T11:30:00Z",
		"annotations": map[string]string{"summary": "It burns."},
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func firing(name, pod string) string {
	return alert("firing", "alertname="+name, "namespace=payments", "pod="+pod, "severity=critical")
}

func webhook(alerts ...string) string {
	return `{"version":"4","status":"firing","alerts":[` + strings.Join(alerts, ",") + `]}`
}
