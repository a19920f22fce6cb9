package cmd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kubeconfigOf is a kubeconfig for an API server that has some paths.
func kubeconfigOf(t *testing.T, answer map[string]int) string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, ok := answer[r.URL.Path]
		if !ok {
			status = http.StatusNotFound
		}
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if status != http.StatusOK {
			_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "details": map[string]string{"name": name}})
		}
	}))
	t.Cleanup(api.Close)
	return kubeconfigFor(t, api.URL)
}

// kubeconfigFor is a kubeconfig for an API server at a URL. Its context may have a
// namespace.
func kubeconfigFor(t *testing.T, url string, namespace ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"c",
		"contexts":[{"name":"c","context":{"cluster":"c","user":"u","namespace":%q}}],"users":[{"name":"u","user":{}}],"clusters":[{"name":"c","cluster":{"server":%q}}]}`, strings.Join(namespace, ""), url), 0o600))
	return file
}

// fired is a Prometheus in which alerts with some labels fired a while ago.
func fired(t *testing.T, labels ...map[string]string) *server {
	t.Helper()
	var result []any
	for i, l := range labels {
		l["alertname"] = cmp.Or(l["alertname"], "A")
		result = append(result, map[string]any{"metric": l, "values": []any{[]any{time.Now().Unix() - 1000 + int64(i), "1"}}})
	}
	text, err := json.Marshal(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": result}})
	require.NoError(t, err)
	return newServer(t, fail(http.StatusOK, string(text)), (*httptest.Server).Start)
}

func TestTargetsAreLookedForInTheCluster(t *testing.T) {
	kubeconfig := kubeconfigOf(t, map[string]int{
		"/api/v1/namespaces/shop/pods/here": http.StatusOK, "/api/v1/nodes/secret": http.StatusForbidden, "/apis/apps/v1/namespaces/shop/deployments/api": http.StatusOK,
	})
	pod := func(name string) map[string]string { return map[string]string{"namespace": "shop", "pod": name} }
	s := fired(t, pod("here"), pod("gone"), map[string]string{"node": "secret"}, map[string]string{"node": "away"},
		map[string]string{"cluster": "us", "node": "theirs"}, map[string]string{"deployment": "api", "namespace": "shop"}, map[string]string{"instance": "x"})
	code, out, problems := quick(t, s.URL, map[string]string{"CLUSTER_NAME": "eu"}, "-since", "1h", "-kubeconfig", kubeconfig, "-o", "json", "-fail")
	require.Equal(t, 3, code, problems)
	require.Equal(t, "onefire: 1 target not looked for: their label cluster is not CLUSTER_NAME\n"+
		"onefire: 1 target not looked for: these credentials may not get them, or the API server does not have their kind\n", problems)
	var r report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Len(t, r.Findings, 2)
	require.Equal(t, findingNoObject, r.Findings[0].Finding)
	missing := r.Findings[1]
	require.Equal(t, findingMissing, missing.Finding)
	require.Equal(t, []target{{"v1", "Node", "away", ""}, {"v1", "Pod", "gone", "shop"}}, missing.Targets)
	require.Contains(t, missing.Text, "2 of the 4 targets that fired last do not exist now")
}

func TestOnlyTheLastTargetsAreLookedFor(t *testing.T) {
	// The last target fired long before as well, as another label set.
	all := []map[string]string{{"node": fmt.Sprintf("n%d", maxLookups+6), "disk": "sda"}}
	for i := range maxLookups + 7 {
		all = append(all, map[string]string{"node": fmt.Sprintf("n%d", i)})
	}
	kubeconfig := kubeconfigOf(t, nil)
	code, out, problems := quick(t, fired(t, all...).URL, nil, "-since", "1h", "-kubeconfig", kubeconfig, "-o", "json")
	require.Zero(t, code, "without -fail findings are no failure")
	require.Contains(t, problems, "7 targets not looked for: only the 500 that fired last are")
	var r report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Len(t, r.Findings, 1)
	require.Equal(t, maxLookups-maxTargets, r.Findings[0].OtherTargets)
	require.Equal(t, "n10", r.Findings[0].Targets[0].Name, "the first ones are not looked for")
}

func TestATargetOfSeveralRulesIsMissedByEach(t *testing.T) {
	s := fired(t, map[string]string{"node": "away"}, map[string]string{"node": "away", "disk": "sda"}, map[string]string{"node": "away", "alertname": "B"}, map[string]string{"node": "away", "disk": "sdb"})
	r := reported(t, s, 0, nil, "-since", "1h", "-kubeconfig", kubeconfigOf(t, nil))
	missing := map[string]string{}
	for _, f := range r.Findings {
		if f.Finding == findingMissing {
			missing[f.Alertname] = f.Text
		}
	}
	text := "1 of the 1 target that fired last do not exist now: Node/away; the last of them burned until "
	require.Equal(t, map[string]string{"A": text + clock(r.FirstSample.Add(3*time.Second)), "B": text + clock(r.FirstSample.Add(2*time.Second))}, missing)
}

func TestAClusterThatDoesNotAnswerEndsABacktest(t *testing.T) {
	kubeconfig := kubeconfigOf(t, map[string]int{"/api/v1/nodes/n": http.StatusUnauthorized})
	code, _, problems := quick(t, fired(t, map[string]string{"node": "n"}).URL, nil, "-since", "1h", "-kubeconfig", kubeconfig)
	require.Equal(t, 1, code)
	require.Contains(t, problems, "looking for Node/n")

	kubeconfig = kubeconfigOf(t, map[string]int{"/api/v1/namespaces/shop/pods/p": http.StatusUnauthorized})
	s := fired(t, map[string]string{"namespace": "shop", "pod": "p"})
	code, out, problems := quick(t, s.URL, map[string]string{"TARGET": "owner"}, "-since", "1h", "-kubeconfig", kubeconfig)
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Contains(t, problems, "reading Pod shop/p: ")
}

func TestOwnersAreTheTargetsOfABacktest(t *testing.T) {
	s := fired(t, map[string]string{"namespace": "shop", "pod": "db-0"}, map[string]string{"namespace": "shop", "pod": "db-1"})
	kubeconfig := kubeconfigOf(t, nil)
	environment := map[string]string{"TARGET": "owner"}
	code, out, problems := quick(t, s.URL, environment, "-since", "1h", "-kubeconfig", kubeconfig)
	require.Zero(t, code, problems)
	require.Contains(t, out, "(owner: gone)")

	code, _, problems = quick(t, s.URL, environment, "-since", "1h")
	require.Zero(t, code)
	require.Contains(t, problems, "TARGET=owner needs the API server", "it would ask")
}

func TestTheScopeIsAskedOfTheCluster(t *testing.T) {
	const in = `{"labels":{"alertname":"A","namespace":"shop","pod":"p"}}`
	environment := map[string]string{"SCOPE": "team=shop"}
	code, out, problems := run(t, in, environment, "explain", "-kubeconfig", kubeconfigOf(t, nil), "-")
	require.Zero(t, code, problems)
	require.Contains(t, out, "filtered (unmanaged)")
	require.Empty(t, problems)

	code, out, problems = run(t, in, environment, "explain", "-")
	require.Zero(t, code)
	require.Contains(t, out, "new (first_seen)")
	require.Contains(t, problems, "without -kubeconfig every alert counts as in the scope: SCOPE needs labels from the API server")

	down := kubeconfigOf(t, map[string]int{"/api/v1/namespaces/shop": http.StatusUnauthorized})
	code, _, problems = run(t, in, environment, "explain", "-kubeconfig", down, "-")
	require.Equal(t, 1, code)
	require.Contains(t, problems, "reading Namespace shop")

	code, out, problems = run(t, in, map[string]string{"SCOPE": "team shop"}, "explain", "-")
	require.Equal(t, 1, code, out)
	require.Contains(t, problems, `SCOPE: "team shop" is not a label selector`)
}

func TestABacktestFiltersWhatIsNotInTheScope(t *testing.T) {
	s := fired(t, map[string]string{"namespace": "shop", "pod": "db-0"}, map[string]string{"namespace": "shop", "pod": "db-1"})
	code, out, problems := quick(t, s.URL, map[string]string{"SCOPE": "team=shop", "TARGET": "owner"}, "-since", "1h", "-kubeconfig", kubeconfigOf(t, nil))
	require.Zero(t, code, problems)
	require.Contains(t, out, "2 fires filtered: unmanaged")
	require.NotContains(t, out, "do not exist now", "what makes no object is not looked for")
}
