package e2e

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"onefire/dedup"
	"onefire/test/child"
)

const crdName = "remediationrequests.kubernaut.ai"

var (
	crds       = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// try is onefire-try with an answer to its question. more is its environment on top of
// addresses of its own.
func try(t *testing.T, ctx context.Context, answer string, more ...string) *exec.Cmd {
	t.Helper()
	run := exec.CommandContext(ctx, tryBinary, "run", functionBinary, sourceBinary)
	run.Stdin = strings.NewReader(answer)
	run.Env = append(os.Environ(), "KUBECONFIG=", "CLUSTER=", "CONFIRM=", "LOCAL_STATE="+t.TempDir())
	for _, name := range []string{"LOCAL_FUNCTION_ADDR", "LOCAL_SOURCE_ADDR", "LOCAL_DATASTORAGE_ADDR"} {
		run.Env = append(run.Env, name+"="+child.AddressFor(t))
	}
	run.Env = append(run.Env, more...)
	run.SysProcAttr = child.DiesWithUs()
	return run
}

// contexts writes a kubeconfig with two contexts of one server, and no current one.
func contexts(t *testing.T, server string) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["one"] = &clientcmdapi.Cluster{Server: server}
	c.AuthInfos["me"] = &clientcmdapi.AuthInfo{Token: "secret"}
	c.Contexts["kind-a"] = &clientcmdapi.Context{Cluster: "one", AuthInfo: "me", Namespace: "shop"}
	c.Contexts["kind-b"] = &clientcmdapi.Context{Cluster: "two", AuthInfo: "me"}
	path := filepath.Join(t.TempDir(), "config")
	require.NoError(t, clientcmd.WriteToFile(*c, path))
	return path
}

// TestAClusterIsNotTouchedBeforeSomebodySaysYes counts what a server is asked.
func TestAClusterIsNotTouchedBeforeSomebodySaysYes(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "no", http.StatusTeapot)
	}))
	defer server.Close()
	config := contexts(t, server.URL)
	question := []string{"context    kind-a\n", "server     " + server.URL + "\n", "namespace  shop\n", "user       me\n", "CRD " + crdName}
	for reason, row := range map[string]struct {
		answer      string
		environment []string
		want        []string
	}{
		"no":                        {"n\n", []string{"CLUSTER=kind-a"}, append(question, "not confirmed")},
		"only the key":              {"\n", []string{"CLUSTER=kind-a"}, append(question, "not confirmed")},
		"no answer":                 {"", []string{"CLUSTER=kind-a"}, append(question, "not confirmed", "CONFIRM=yes")},
		"another word":              {"yesterday\n", []string{"CLUSTER=kind-a"}, append(question, "not confirmed")},
		"CONFIRM that is not yes":   {"", []string{"CLUSTER=kind-a", "CONFIRM=1"}, append(question, "not confirmed")},
		"the namespace that is set": {"", []string{"CLUSTER=kind-a", "REMEDIATION_NAMESPACE=fires"}, []string{"namespace  fires\n"}},
		"the alerts' namespaces":    {"", []string{"CLUSTER=kind-a", "REMEDIATION_PLACEMENT=signal"}, []string{"namespace  that of each alert; else shop\n"}},
		"no context":                {"y\n", nil, []string{`no context ""`, "kind-a, kind-b"}},
		"a context without cluster": {"y\n", []string{"CLUSTER=kind-b"}, []string{"kind-b"}},
		"no such context":           {"y\n", []string{"CLUSTER=kind-c"}, []string{`no context "kind-c"`, "kind-a, kind-b"}},
		"nothing that names one":    {"y\n", []string{"KUBECONFIG="}, []string{"which cluster"}},
		"no such file":              {"y\n", []string{"KUBECONFIG=/nonexistent/config"}, []string{"no context"}},
		"a controller as well":      {"y\n", []string{"CLUSTER=kind-a", "LOCAL_RESTARTER=true"}, []string{"LOCAL_RESTARTER is only for"}},
	} {
		out, err := try(t, t.Context(), row.answer, append([]string{"KUBECONFIG=" + config}, row.environment...)...).CombinedOutput()
		require.Error(t, err, reason)
		for _, want := range row.want {
			require.Contains(t, string(out), want, reason)
		}
		require.NotContains(t, string(out), "secret", reason)
		require.Zero(t, asked.Load(), "%s: %s", reason, out)
	}
	out, err := try(t, t.Context(), "y\n", "KUBECONFIG="+config, "CLUSTER=kind-a").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "looking for the CRD")
	require.NotZero(t, asked.Load(), "the server does count")
}

// TestRunInACluster takes an API server of its own for the cluster at hand: without the
// CRD at first, and then with one of somebody else.
func TestRunInACluster(t *testing.T) {
	t.Parallel()
	kubeconfig, stop, err := child.StartKube(stackBinary, t.TempDir())
	require.NoError(t, err)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	cluster, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	require.NoError(t, cluster.Resource(crds).Delete(t.Context(), crdName, metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		_, err := cluster.Resource(crds).Get(t.Context(), crdName, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, patience, pollEvery)

	refused, err := try(t, t.Context(), "", "KUBECONFIG="+kubeconfig, "CONFIRM=yes", "REMEDIATION_NAMESPACE=fires").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(refused), "the cluster has no namespace fires")
	_, err = cluster.Resource(crds).Get(t.Context(), crdName, metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), "nothing was installed: %v", err)
	fires := &unstructured.Unstructured{}
	fires.SetAPIVersion("v1")
	fires.SetKind("Namespace")
	fires.SetName("fires")
	_, err = cluster.Resource(namespaces).Create(t.Context(), fires, metav1.CreateOptions{})
	require.NoError(t, err)

	for _, step := range []struct{ answer, confirm, count string }{{"y\n", "", "1"}, {"", "yes", "2"}} {
		inCluster(t, kubeconfig, step.answer, step.confirm, step.count)
		posted := time.Now()
		all, err := cluster.Resource(dedup.Resource).Namespace("fires").List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		require.Len(t, all.Items, 4, "what was made stays")
		// A source that was restarted no longer knows what it sent in this window.
		time.Sleep(time.Until(posted.Add(time.Second)))
		// Somebody else's stays as it is.
		_, err = cluster.Resource(crds).Patch(t.Context(), crdName, types.MergePatchType, []byte(`{"metadata":{"annotations":{"whose":"another's"}}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	crd, err := cluster.Resource(crds).Get(t.Context(), crdName, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "another's", crd.GetAnnotations()["whose"])
	require.EqualValues(t, 1, crd.GetGeneration(), "nobody wrote its spec again")
}

// inCluster runs all of it in a cluster, posts a webhook as make alert does, and stops it.
// Its requests then have a count.
func inCluster(t *testing.T, kubeconfig, answer, confirm, count string) {
	t.Helper()
	run := try(t, context.WithoutCancel(t.Context()), answer, "KUBECONFIG="+kubeconfig, "CONFIRM="+confirm, "REMEDIATION_NAMESPACE=fires")
	log := &child.Log{}
	run.Stderr = log
	out, err := run.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, run.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "%s", log)
	require.True(t, strings.HasPrefix(line, "ready: "), line)
	_, own, _ := strings.Cut(line, "KUBECONFIG=")
	own, _, _ = strings.Cut(own, " ")
	info, err := os.Stat(own)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it holds a token")

	alert := exec.CommandContext(t.Context(), tryBinary, "alert", captured)
	alert.Env = run.Env
	report, err := alert.CombinedOutput()
	require.NoError(t, err, "%s", report)
	require.Equal(t, 4, strings.Count(string(report), "\nfires/rr-"), "%s", report)
	require.Equal(t, 4, strings.Count(string(report), "  "+count+"\nfires/rr-")+strings.Count(string(report), "  "+count+"\n\nAUDIT"), "%s", report)

	require.NoError(t, run.Process.Signal(os.Interrupt))
	require.NoError(t, run.Wait(), "%s", log)
	require.NoFileExists(t, own, "nothing of the cluster's secrets is left")
}
