//go:build kube

package events

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"onefire/function"
	"onefire/test/client"
	"onefire/test/wholekube"
)

var (
	binaries = flag.String("binaries", "../../bin", "where kube-apiserver and etcd are")
	show     = flag.String("kubectl", "", "a kubectl, to print what it makes of the Events")
)

type cluster struct {
	*wholekube.Deployed
	t *testing.T
}

// list lists what a selector of fields finds, as anybody may see it.
func (c cluster) list(group, version, resource string, selector fields.Set) []unstructured.Unstructured {
	c.t.Helper()
	all, err := c.Resource(wholekube.Admin, group, version, resource).Namespace(wholekube.Namespace).
		List(c.t.Context(), metav1.ListOptions{FieldSelector: selector.String()})
	require.NoError(c.t, err)
	return all.Items
}

func (c cluster) events(selector fields.Set) []unstructured.Unstructured {
	c.t.Helper()
	return c.list("events.k8s.io", "v1", "events", selector)
}

func (c cluster) requests() []unstructured.Unstructured {
	c.t.Helper()
	return c.list("kubernaut.ai", "v1alpha1", "remediationrequests", nil)
}

func (c cluster) post(url, id, body string) {
	status, answer, err := client.Post(c.t.Context(), url, id, []byte(body))
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, status, answer)
}

func alert(pod string, more ...string) string {
	return `{"status":"firing","labels":{"alertname":"KubePodCrashLooping","severity":"critical","namespace":"payments","pod":"` + pod + `"` +
		strings.Join(more, "") + `},"startsAt":"2026-01-17T11:00:00Z"}`
}

func text(o unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, path...) // It is empty where there is none.
	return s
}

func TestEventsOnAWholeAPIServer(t *testing.T) {
	c := cluster{wholekube.Deploy(t, *binaries), t}
	one, first := c.Serve(wholekube.Function, map[string]string{"K_SERVICE": "onefire"})
	two, second := c.Serve(wholekube.Function, map[string]string{"K_SERVICE": "onefire"})
	var bodies []string
	for i := range 4 {
		bodies = append(bodies, `{"alerts":[`+alert(fmt.Sprintf("api-%d", i))+`,`+alert(fmt.Sprintf("web-%d", i))+`]}`)
	}

	var deliveries sync.WaitGroup
	for _, url := range []string{first, second, first, second} {
		for id, body := range bodies {
			deliveries.Go(func() { c.post(url, fmt.Sprint(id), body) })           // A redelivery.
			deliveries.Go(func() { c.post(url, fmt.Sprint("again-", id), body) }) // A repeat.
		}
	}
	deliveries.Wait()
	c.post(first, "long", `{"alerts":[`+alert("long", `,"description":"`+strings.Repeat("x", 2000)+`"`)+`]}`)
	for _, url := range []string{first, second} {
		c.post(url, "bad", `{"truncatedAlerts":7,"alerts":[{"status":"firing","labels":{"pod":"nameless"}},`+alert("api-0")+`]}`)
	}
	require.NoError(t, one.Stop(t.Context()), "it tells what waits")
	require.NoError(t, two.Stop(t.Context()))

	requests := c.requests()
	require.Len(t, requests, 9)
	for _, r := range requests {
		want := 1
		if text(r, "spec", "targetResource", "name") == "long" {
			want = 2
		}
		uid := string(r.GetUID())
		told := c.events(fields.Set{"regarding.uid": uid})
		require.Len(t, told, want, "%s", r.GetName())
		require.Len(t, c.events(fields.Set{"regarding.name": r.GetName(), "regarding.kind": "RemediationRequest", "reason": function.ReasonRequested}), 1)
		require.Equal(t, "onefire", text(told[0], "reportingController"))
		// kubectl describe asks for these.
		require.Len(t, c.list("", "v1", "events", fields.Set{"involvedObject.name": r.GetName(), "involvedObject.namespace": wholekube.Namespace,
			"involvedObject.kind": "RemediationRequest", "involvedObject.uid": uid}), want)
	}
	for _, reason := range []string{function.ReasonInvalid, function.ReasonTruncated} {
		require.Len(t, c.events(fields.Set{"regarding.kind": "Service", "regarding.name": "onefire", "reason": reason, "type": "Warning"}), 1, reason)
	}
	require.Len(t, c.events(nil), 9+1+2)
	c.show("get", "events")
	c.show("describe", "remediationrequest", requests[0].GetName())
}

// show prints what a kubectl says, if there is one.
func (c cluster) show(arguments ...string) {
	if *show == "" {
		return
	}
	kubectl := exec.CommandContext(c.t.Context(), *show, append([]string{"--kubeconfig", c.Kubeconfig(wholekube.Admin), "-n", wholekube.Namespace}, arguments...)...)
	kubectl.Env = append(os.Environ(), "HOME="+c.t.TempDir())
	out, err := kubectl.CombinedOutput()
	require.NoError(c.t, err, "%s", out)
	c.t.Logf("kubectl %s\n%s", strings.Join(arguments, " "), out)
}

// An operator who does not grant the right loses the Events, and nothing else.
func TestWithoutTheRightAlertsAreSettledAllTheSame(t *testing.T) {
	c := cluster{wholekube.Deploy(t, *binaries), t}
	rules := `{"rules":[{"apiGroups":["kubernaut.ai"],"resources":["remediationrequests"],"verbs":["get","list","create","delete"]},
		{"apiGroups":["kubernaut.ai"],"resources":["remediationrequests/status"],"verbs":["patch"]}]}`
	_, err := c.Resource(wholekube.Admin, "rbac.authorization.k8s.io", "v1", "roles").Namespace(wholekube.Namespace).
		Patch(t.Context(), "onefire", types.MergePatchType, []byte(rules), metav1.PatchOptions{})
	require.NoError(t, err)
	f, url := c.Serve(wholekube.Function, map[string]string{"K_SERVICE": "onefire"})
	for i := range 20 {
		c.post(url, fmt.Sprint(i), alert(fmt.Sprintf("api-%d", i)))
	}
	require.NoError(t, f.Stop(t.Context()))
	require.Len(t, c.requests(), 20)
	require.Empty(t, c.events(nil))
}
