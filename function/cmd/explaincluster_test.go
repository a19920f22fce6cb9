package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/mapping"
)

// shop are the objects of a namespace whose pod belongs to a Deployment, by path.
var shop = map[string]string{
	"/api/v1/namespaces/shop":                                            `{"name":"shop","labels":{"team":"shop"}}`,
	"/api/v1/namespaces/shop/pods/api-1":                                 `{"name":"api-1","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"api","controller":true}]}`,
	"/apis/apps/v1/namespaces/shop/replicasets/api":                      `{"name":"api","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","controller":true}]}`,
	"/apis/apps/v1/namespaces/shop/deployments/web":                      `{"name":"web"}`,
	"/apis/kubernaut.ai/v1alpha1/namespaces/default/remediationrequests": "",
}

// answerShop answers for the objects of shop.
func answerShop(r *http.Request) (int, string) {
	metadata, ok := shop[r.URL.Path]
	switch {
	case !ok:
		return http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`
	case metadata == "":
		return http.StatusOK, `{"kind":"RemediationRequestList","metadata":{},"items":[]}`
	}
	return http.StatusOK, `{"metadata":` + metadata + `}`
}

// shopAPI is the kubeconfig of an API server that has shop.
func shopAPI(t *testing.T) string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		status, body := answerShop(r)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(api.Close)
	return kubeconfigFor(t, api.URL)
}

func TestTheTargetOfAnExplanationIsTheOwnerInItsScope(t *testing.T) {
	kubeconfig := shopAPI(t)
	for reason, row := range map[string]struct {
		environment map[string]string
		labels      string
		want        string
	}{
		"its owner":                         {map[string]string{"TARGET": "owner"}, "", "Deployment/web in shop resolved first_seen"},
		"only the pod":                      {map[string]string{"SCOPE": "team=shop"}, "", "Pod/api-1 in shop  first_seen"},
		"its owner, in the scope":           {map[string]string{"TARGET": "owner", "SCOPE": "team=shop"}, "", "Deployment/web in shop resolved first_seen"},
		"its owner, outside the scope":      {map[string]string{"TARGET": "owner", "SCOPE": "team=ops"}, "", "Deployment/web in shop resolved unmanaged"},
		"an object of another cluster":      {map[string]string{"TARGET": "owner", "CLUSTER_NAME": "eu"}, `"cluster":"us",`, "Pod/api-1 in shop other_cluster first_seen"},
		"an object of the named cluster":    {map[string]string{"TARGET": "owner", "CLUSTER_NAME": "eu"}, `"cluster":"eu",`, "Deployment/web in shop resolved first_seen"},
		"what is filtered is not asked for": {map[string]string{"TARGET": "owner", "IGNORE_ALERTS": "A"}, "", "Pod/api-1 in shop  ignored_alertname"},
		"a target outside the other scopes": {map[string]string{"SCOPE": "team=ops"}, "", "Pod/api-1 in shop  unmanaged"},
	} {
		t.Run(reason, func(t *testing.T) {
			in := `{"labels":{"alertname":"A",` + row.labels + `"namespace":"shop","pod":"api-1"}}`
			all, problems := explained(t, in, row.environment, "-kubeconfig", kubeconfig)
			require.Empty(t, problems)
			require.Equal(t, row.want, fmt.Sprint(all[0].Target, " ", all[0].Owner, " ", all[0].Reason))
		})
	}
	_, out, _ := run(t, `{"labels":{"alertname":"A","namespace":"shop","pod":"api-1"}}`, map[string]string{"TARGET": "owner"}, "explain", "-kubeconfig", kubeconfig, "-")
	require.Contains(t, out, "  Deployment/web in shop (resolved)  ")
}

// The fingerprint of an owner is that of its own name, and a name that is cut for the
// output is not cut in the fingerprint.
func TestAnOwnerHasAFingerprintOfItsOwn(t *testing.T) {
	kubeconfig, environment := shopAPI(t), map[string]string{"TARGET": "owner"}
	fingerprint := func(labels string, args ...string) string {
		all, _ := explained(t, `{"labels":{"alertname":"A","namespace":"shop",`+labels+`}}`, environment, args...)
		return all[0].Fingerprint
	}
	require.Equal(t, fingerprint(`"deployment":"web"`), fingerprint(`"pod":"api-1"`, "-kubeconfig", kubeconfig))
	long := `"pod":"` + strings.Repeat("x", 300) + `"`
	require.Equal(t, fingerprint(long), fingerprint(long, "-kubeconfig", kubeconfig))
}

func TestAnAPIServerThatDoesNotAnswerEndsAnExplanation(t *testing.T) {
	for reason, row := range map[string]struct {
		path, in, problem string
	}{
		"about requests":               {"/apis/kubernaut.ai/v1alpha1/namespaces/default/remediationrequests", `{"labels":{"alertname":"A"}}`, "forecasting the outcome of A: "},
		"about the end of their alert": {"/apis/kubernaut.ai/v1alpha1/namespaces/default/remediationrequests", `{"status":"resolved","endsAt":"2026-01-17T12:00:00Z","labels":{"alertname":"A"}}`, "forecasting the outcome of A: "},
		"about owners":                 {"/api/v1/namespaces/shop/pods/p", `{"labels":{"alertname":"A","namespace":"shop","pod":"p"}}`, "reading Pod shop/p: "},
	} {
		t.Run(reason, func(t *testing.T) {
			kubeconfig := kubeconfigOf(t, map[string]int{row.path: http.StatusUnauthorized})
			code, out, problems := run(t, row.in, map[string]string{"TARGET": "owner"}, "explain", "-kubeconfig", kubeconfig, "-")
			require.Equal(t, 1, code)
			require.Empty(t, out)
			require.Contains(t, problems, row.problem)
		})
	}
}

func TestOwnersNeedAnAPIServer(t *testing.T) {
	c, err := config.Mapping(map[string]string{"TARGET": "owner"})
	require.NoError(t, err)
	_, err = owners(&rest.Config{Host: "https://[::1"}, c)
	require.Error(t, err)
	_, err = mapAll(t.Context(), c, &rest.Config{Host: "https://[::1"}, nil, io.Discard)
	require.Error(t, err)
}

// Each of the four calls is quick enough, but not all of them together.
func TestTheLookupOfATargetHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scope, err := config.Mapping(map[string]string{"TARGET": "owner", "SCOPE": "team=shop"})
		require.NoError(t, err)
		calls := 0
		resolve, err := owners(&rest.Config{Host: "https://api.test", QPS: -1, Transport: answering(func(r *http.Request) (int, string) {
			calls++
			// In a bubble of synctest this only moves its clock on; nothing waits.
			time.Sleep(lookTimeout / 2 * 9 / 10)
			return answerShop(r)
		})}, scope)
		require.NoError(t, err)
		a := mapping.Alert{Labels: map[string]string{"alertname": "A", "namespace": "shop", "pod": "api-1"}}
		signal, reason, problem := mapAlert(scope.Rules(), a)
		require.Zero(t, reason)
		require.NoError(t, problem)
		_, _, _, err = resolve(t.Context(), a, signal)
		require.ErrorContains(t, err, "reading Namespace shop: context deadline exceeded")
		require.Equal(t, 3, calls)
	})
}

// A backtest shows what the owner was found by, as an explanation does.
func TestTheOwnerOfABacktestIsInItsReport(t *testing.T) {
	s := fired(t, map[string]string{"namespace": "shop", "pod": "api-1"})
	code, out, problems := quick(t, s.URL, map[string]string{"TARGET": "owner"}, "-since", "1h", "-kubeconfig", shopAPI(t), "-o", "json")
	require.Zero(t, code, problems)
	var r report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, "Deployment/web in shop", r.Rules[0].Targets[0].String())
	require.EqualValues(t, "resolved", r.Rules[0].Targets[0].Owner)
	require.Empty(t, r.Findings, "the owner exists")
}
