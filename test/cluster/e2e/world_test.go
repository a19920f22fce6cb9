package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/dedup"
	"onefire/test/client"
	"onefire/test/cluster/paths"
)

const (
	namespace = "onefire"
	broker    = "http://broker-ingress.knative-eventing.svc.cluster.local/onefire/onefire"
	auditURL  = "http://datastorage.kubernaut-system.svc.cluster.local:8080/api/v1/audit/events"
	// The programs' paths in their images.
	functionProgram    = "/ko-app/onefire"
	datastorageProgram = "/ko-app/onefire-datastorage"
)

var requests = schema.GroupVersionResource{Group: "kubernaut.ai", Version: "v1alpha1", Resource: "remediationrequests"}

// world is the cluster as a test sees it.
type world struct {
	t       *testing.T
	p       paths.Paths
	config  *rest.Config
	kube    kubernetes.Interface
	objects dynamic.NamespaceableResourceInterface
	// lists counts this test's Lists of objects.
	lists atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, p: where(t)}
	var err error
	w.config, err = clientcmd.BuildConfigFromFlags("", w.p.Kubeconfig())
	require.NoError(t, err)
	w.config.QPS, w.config.Burst, w.config.Timeout = 100, 200, ask
	w.kube, err = kubernetes.NewForConfig(w.config)
	require.NoError(t, err)
	all, err := dynamic.NewForConfig(w.config)
	require.NoError(t, err)
	w.objects = all.Resource(requests)
	return w
}

// kubectl runs a command and returns its output. A command that is refused because a webhook
// does not answer is run again: Knative's start anew when they lose their lease, which happens
// on a busy machine and after the API server was away.
func (w *world) kubectl(args ...string) string {
	w.t.Helper()
	for begin := time.Now(); ; pass(w.t, 5*look) {
		out, err := exec.CommandContext(context.Background(), w.p.Bin("kubectl"), args...).CombinedOutput()
		if err != nil && strings.Contains(string(out), "failed calling webhook") && time.Since(begin) < settled {
			continue
		}
		require.NoError(w.t, err, "kubectl %s: %s", strings.Join(args, " "), out)
		return string(out)
	}
}

// tell stops, kills or starts a process of the node.
func (w *world) tell(process, do string) {
	w.t.Helper()
	unix := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.p.Control())
	}}}
	response, err := unix.Post("http://node/"+process+"/"+do, "", nil)
	require.NoError(w.t, err)
	defer response.Body.Close()
	require.Equal(w.t, http.StatusOK, response.StatusCode)
}

// signal sends a signal to all processes that run a program in a container,
// and says how many there were.
func (w *world) signal(program string, s syscall.Signal) int {
	w.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	require.NoError(w.t, err)
	n := 0
	for _, link := range all {
		if to, err := os.Readlink(link); err != nil || to != program {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		require.NoError(w.t, err)
		if syscall.Kill(pid, s) == nil {
			n++
		}
	}
	return n
}

// pods are the function's, those that end left out.
func (w *world) pods() (running []corev1.Pod) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ask)
	defer cancel()
	list, err := w.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "serving.knative.dev/service=onefire"})
	if err != nil {
		return nil // The API server is away in some tests.
	}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
			running = append(running, pod)
		}
	}
	return running
}

// atZero waits until the function has no pods.
func (w *world) atZero() {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return len(w.pods()) == 0 }, zero, look, "the function still has pods")
}

// named are the objects of an alert's name.
func (w *world) named(alertname string) (found []unstructured.Unstructured) {
	w.t.Helper()
	for _, o := range w.all() {
		if text(o, "spec", "signalName") == alertname {
			found = append(found, o)
		}
	}
	return found
}

// all are all objects.
func (w *world) all() []unstructured.Unstructured {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ask)
	defer cancel()
	w.lists.Add(1)
	list, err := w.objects.Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil // The API server is away in some tests.
	}
	return list.Items
}

// audit are all audit events, by the object they are about. It is nil when
// DataStorage does not answer.
func (w *world) audit() map[string][]client.AuditEvent {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ask)
	defer cancel()
	all, err := client.AuditTrail(ctx, auditURL, url.Values{})
	if err != nil {
		return nil
	}
	by := map[string][]client.AuditEvent{}
	for _, e := range all {
		by[e.CorrelationID] = append(by[e.CorrelationID], e)
	}
	return by
}

// raise gives alerts to one of the Alertmanagers, as Prometheus does.
func (w *world) raise(alertmanager int, alerts ...map[string]any) {
	w.t.Helper()
	body, err := json.Marshal(alerts)
	require.NoError(w.t, err)
	response, err := (&http.Client{Timeout: ask}).Post(fmt.Sprintf("http://alertmanager-%d.monitoring:9093/api/v2/alerts", alertmanager), "application/json", bytes.NewReader(body))
	require.NoError(w.t, err)
	defer response.Body.Close()
	require.Equal(w.t, http.StatusOK, response.StatusCode)
}

// alert is a firing alert about a pod, as Prometheus posts it.
func alert(alertname, pod string) map[string]any {
	return map[string]any{
		"labels":      map[string]string{"alertname": alertname, "namespace": "shop", "pod": pod, "severity": "warning"},
		"annotations": map[string]string{"summary": pod + " is on fire"},
		"startsAt":    time.Now().UTC().Format(time.RFC3339Nano),
	}
}

func text(o unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(o.Object, path...)
	return value
}

func count(o unstructured.Unstructured) int {
	n, _, _ := unstructured.NestedInt64(o.Object, "status", "deduplication", "occurrenceCount")
	return int(n)
}

func terminal(o unstructured.Unstructured) bool {
	return slices.Contains(dedup.TerminalPhases(), text(o, "status", "overallPhase"))
}
