//go:build kube

package deadletters

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/config"
	"onefire/dedup/client"
	"onefire/function/cmd"
	"onefire/test/wholekube"
)

// later is a kubeconfig of an API server whose clock is ahead: what is made now is
// old there.
func (c cluster) later(user string, ahead time.Duration) string {
	own, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig(user))
	require.NoError(c.t, err)
	transport, err := rest.TransportFor(own)
	require.NoError(c.t, err)
	host, err := url.Parse(own.Host)
	require.NoError(c.t, err)
	proxy := httputil.NewSingleHostReverseProxy(host)
	proxy.Transport = transport
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		return nil
	}
	server := httptest.NewServer(proxy)
	c.t.Cleanup(server.Close)
	file := filepath.Join(c.t.TempDir(), "kubeconfig")
	require.NoError(c.t, os.WriteFile(file, []byte("apiVersion: v1\nkind: Config\ncurrent-context: c\n"+
		"clusters: [{name: c, cluster: {server: '"+server.URL+"'}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"), 0o600))
	return file
}

// The service account of prune deletes what is old with the rights that it has, and
// may do nothing else.
func TestPruneDeletesWithItsOwnRights(t *testing.T) {
	c := cluster{wholekube.Deploy(t, *binaries), t}
	store := c.serve(nil)
	_, function := c.Serve(wholekube.Function, nil)
	for i := range 3 {
		require.Equal(t, http.StatusOK, post(t, store, fmt.Sprint("lost-", i), `{"lost":true}`))
		require.Equal(t, http.StatusOK, post(t, function, fmt.Sprint("alert-", i), fmt.Sprintf(
			`{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Old%d","namespace":"shop","pod":"api-0"},"startsAt":%q}]}`, i, time.Now().UTC().Format(time.RFC3339))))
	}
	requests := c.Resource(wholekube.Admin, "kubernaut.ai", "v1alpha1", "remediationrequests").Namespace(wholekube.Namespace)
	all, err := requests.List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, all.Items, 3)
	for _, o := range all.Items[1:] {
		_, err := requests.Patch(t.Context(), o.GetName(), types.MergePatchType, []byte(`{"status":{"overallPhase":"Completed"}}`), metav1.PatchOptions{}, "status")
		require.NoError(t, err)
	}
	run := func(ahead time.Duration, dry bool) string {
		settings, err := config.LoadPrune(map[string]string{"KUBECONFIG": c.later(wholekube.Prune, ahead), "POD_NAMESPACE": wholekube.Namespace})
		require.NoError(t, err)
		var log bytes.Buffer
		kube, err := client.Load(settings.Kubeconfig)
		require.NoError(t, err)
		require.NoError(t, cmd.Prune(t.Context(), kube, settings, cmd.PruneOptions{DryRun: dry, Log: &log, Notes: io.Discard}), "%s", &log)
		return log.String()
	}
	count := func() (letters, left int) {
		all, err := requests.List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		return len(c.letters()), len(all.Items)
	}
	for _, step := range []struct {
		ahead         time.Duration
		dry           bool
		letters, left int
		says          string
	}{
		{0, false, 3, 3, `"msg":"prune finished"`},
		{6 * 24 * time.Hour, false, 3, 3, `"msg":"prune finished"`},
		{8 * 24 * time.Hour, true, 3, 3, `"msg":"request would be deleted"`},
		{8 * 24 * time.Hour, false, 3, 1, `"msg":"request deleted"`},
		{31 * 24 * time.Hour, false, 0, 1, `"msg":"dead letter deleted","namespace":"onefire"`},
	} {
		log := run(step.ahead, step.dry)
		letters, left := count()
		require.Equal(t, []int{step.letters, step.left}, []int{letters, left}, "%s", log)
		require.Contains(t, log, step.says)
		t.Log("\n" + log)
	}
	for _, verb := range []string{"get", "create", "update", "patch", "watch", "deletecollection"} {
		require.False(t, c.May(wholekube.Prune, verb, wholekube.Namespace, "configmaps"), verb)
	}
	require.False(t, c.May(wholekube.Prune, "list", "default", "configmaps"))
	require.False(t, c.May(wholekube.Prune, "list", wholekube.Namespace, "secrets"))
}

// post posts a CloudEvent.
func post(t *testing.T, to, id, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": "urn:test", "Ce-Type": "io.prometheus.alert.v1", "Ce-Alertname": "DiskFull",
	} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}
