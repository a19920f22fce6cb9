package alertmanager

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/dedup"
	"onefire/test/child"
)

// environmentOf is what components/plain and components/no-audit give a program, with
// other addresses: all listen on loopback here. knative/verify holds the file against
// the manifests.
func environmentOf(t *testing.T, program, address, sink string) (environment []string) {
	t.Helper()
	text, err := os.ReadFile("testdata/plain.env")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		variable, ours := strings.CutPrefix(strings.TrimSpace(line), program+" ")
		if !ours {
			continue
		}
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "METRICS_ADDRESS":
			variable = name + "=" + child.AddressFor(t)
		case "K_SINK":
			require.NotEmpty(t, sink)
			variable = name + "=" + sink
		}
		environment = append(environment, variable)
	}
	require.NotEmpty(t, environment, program)
	return append(environment, "LISTEN_ADDRESS="+address)
}

// Without Knative the source posts to the function, and what neither can do now
// Alertmanager sends again.
func TestAlertmanagerIsTheQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	functionBinary, stackBinary := filepath.Join(dir, "onefire"), filepath.Join(dir, "onefire-local")
	require.NoError(t, child.Build("../..", functionBinary, "-race", "./function/cmd/onefire"))
	require.NoError(t, child.Build(".", stackBinary, "../cmd/onefire-local"))
	kubeconfig, stop, err := child.StartKube(stackBinary, dir)
	require.NoError(t, err)
	t.Cleanup(stop)
	kube, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	client, err := dynamic.NewForConfig(kube)
	require.NoError(t, err)

	address := child.AddressFor(t)
	function := func() *process {
		return run(t, address, "/health/readiness", append(environmentOf(t, "onefire", address, ""), "KUBECONFIG="+kubeconfig), functionBinary)
	}
	f := function()
	require.Equal(t, 1, f.logged("AUDIT_SINK is none"))
	at := child.AddressFor(t)
	source := run(t, at, "/health/readiness", environmentOf(t, "onefire-source", at, "http://"+address), sourceBinary)
	route, err := os.ReadFile("../../knative/alertmanager.yml")
	require.NoError(t, err)
	am := startWith(t, []byte(strings.Replace(string(route), "http://onefire-source.onefire/", "http://"+source.address+"/", 1)))
	settled := func(want int) []unstructured.Unstructured {
		t.Helper()
		var all *unstructured.UnstructuredList
		require.Eventually(t, func() bool {
			all, err = client.Resource(dedup.Resource).Namespace("onefire").List(t.Context(), metav1.ListOptions{})
			return err == nil && len(all.Items) == want
		}, patience, pollEvery, "%v\n%s\n%s", err, source.log, am.log)
		return all.Items
	}

	pods := func(from, to int) (names []string) {
		for i := from; i < to; i++ {
			names = append(names, fmt.Sprint("api-", i))
		}
		return names
	}
	am.fire(t, time.Now(), time.Time{}, pods(0, 20)...)
	settled(20)

	f.stop()
	am.fire(t, time.Now(), time.Time{}, pods(20, 25)...)
	require.Eventually(t, func() bool { return am.logged("1 of 1 events could not be sent") > 0 }, patience, pollEvery, "it says why: %s", am.log)
	f = function()
	for _, o := range settled(25) {
		count, _, err := unstructured.NestedInt64(o.Object, "status", "deduplication", "occurrenceCount")
		require.NoError(t, err)
		require.EqualValues(t, 1, count, "%s", o.GetName())
	}

	// A receiver that names the function is told whom to name.
	direct := startAlertmanager(t, address, calm)
	direct.fire(t, time.Now(), time.Time{}, "api-0")
	require.Eventually(t, func() bool { return direct.logged("/alertmanager of onefire-source") > 0 }, patience, pollEvery, "%s", direct.log)
	f.stop()
	require.NotContains(t, f.log.String(), "DATA RACE")
}
