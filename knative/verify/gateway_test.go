package verify

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"knative.dev/serving/pkg/networking"

	"onefire/function"
)

// A pod that reaches the cluster-local gateway reaches the function: the gateway passes
// its request to the activator, which the NetworkPolicies let in for everybody's sake.
// Only OIDC tells such a pod from the Trigger. SECURITY.md says both.
func TestWhoeverReachesTheGatewayReachesTheFunctionWithoutOIDC(t *testing.T) {
	for name, want := range map[string]int{"as it is": http.StatusOK, "OIDC": http.StatusUnauthorized} {
		t.Run(name, func(t *testing.T) {
			dir := manifests(t)
			variants[name].choose(t, dir)
			all, err := build(dir)
			require.NoError(t, err)
			running, err := pods(all)
			require.NoError(t, err)
			free, err := allowed(every[*networkingv1.NetworkPolicy](all), running["onefire"], flow{to: in, peer: "knative-serving", port: networking.BackendHTTPPort})
			require.NoError(t, err)
			require.True(t, free, "the activator's requests get through, whoever's they are")

			variables := environment(all, running["onefire"])
			variables["METRICS_ADDRESS"] = ""
			variables["KUBECONFIG"] = filepath.Join(t.TempDir(), "kubeconfig")
			require.NoError(t, os.WriteFile(variables["KUBECONFIG"], []byte(nowhere), 0o600))
			f := function.New()
			require.NoError(t, f.Start(t.Context(), variables))
			t.Cleanup(func() { require.NoError(t, f.Stop(context.Background())) })
			w := httptest.NewRecorder()
			f.ServeHTTP(w, stranger())
			require.Equal(t, want, w.Code, w.Body.String())
		})
	}
}

// nowhere is an API server that does not answer. These commands need none.
const nowhere = `{"apiVersion":"v1","kind":"Config","current-context":"x","clusters":[{"name":"x","cluster":{"server":"http://127.0.0.1:1"}}],` +
	`"users":[{"name":"x"}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}`

// stranger is an event from nobody that we know, with an alert that makes no object.
func stranger() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"status":"firing","labels":{"alertname":"Watchdog"}}`))
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "urn:stranger", "Ce-Type": "io.prometheus.alert.v1", "Content-Type": "application/json",
	} {
		r.Header.Set(name, value)
	}
	return r
}
