package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// function is where a replay sends dead letters: past the Broker.
	function = "http://onefire.onefire.svc.cluster.local"
	// Knative gives these names, and knative/components/oidc repeats them.
	functionAudience = "serving.knative.dev/service/onefire/onefire"
	triggerAccount   = "onefire-oidc-eventing.knative.dev-trigger"
)

// authenticate turns Knative's authentication-oidc on until the test ends. After
// that an alert goes through as before it.
func (w *world) authenticate() {
	w.t.Helper()
	w.t.Cleanup(func() {
		w.feature("disabled", "", "")
		name := fresh("After")
		w.raise(0, alert(name, "api"))
		w.settles(name, map[string]int{"api": 1})
	})
	w.feature("enabled", "mt-broker-filter", triggerAccount)
	// It remembers tokens by the account's name, for 55 minutes: those of an account that
	// was deleted, as when the feature was on before, are refused.
	for _, do := range []string{"restart", "status"} {
		w.kubectl("-n", "knative-eventing", "rollout", do, "deployment", "mt-broker-filter")
	}
}

// feature sets authentication-oidc, and waits until Knative has followed: whom the
// channel's dispatcher makes tokens out to, who the Trigger is, and what the source has.
func (w *world) feature(value, filter, account string) {
	w.t.Helper()
	w.kubectl("-n", "knative-eventing", "patch", "configmap", "config-features", "--type=merge", "-p", fmt.Sprintf(`{"data":{"authentication-oidc":%q}}`, value))
	for _, follows := range []struct{ kind, path, want string }{
		{"subscriptions", `{.items[*].spec.subscriber.audience} {.items[*].status.conditions[?(@.type=="Ready")].status}`, filter + " True"},
		{"trigger/onefire", `{.status.auth.serviceAccountName}`, account},
	} {
		last := ""
		if !assert.Eventually(w.t, func() bool {
			last = w.kubectl("-n", namespace, "get", follows.kind, "-o", "jsonpath="+follows.path)
			return last == follows.want
		}, settled, 5*look) {
			require.Equal(w.t, follows.want, last, follows.kind)
		}
	}
	if account == "" {
		// Knative leaves the Broker's EventPolicy behind, for which the channel is not ready, and
		// its dispatcher then takes no changes of the Trigger.
		w.kubectl("-n", namespace, "delete", "eventpolicies", "--all")
		w.kubectl("-n", namespace, "wait", "inmemorychannels", "--all", "--for=condition=Ready", fmt.Sprintf("--timeout=%s", settled))
	}
	// The source's pods get a token as a volume, or lose it. The SinkBinding's status.sinkAudience
	// may stay when the feature is off, and means nothing then.
	require.Eventually(w.t, func() bool {
		volumes := w.kubectl("-n", namespace, "get", "deployment", "onefire-source", "-o", "jsonpath={.spec.template.spec.volumes[*].name}")
		return strings.Contains(volumes, "oidc-token") == (account != "")
	}, settled, 5*look, "SinkBinding does not follow")
	w.ready()
}

// token is a ServiceAccount's, made out to an audience.
func (w *world) token(account, audience string) string {
	w.t.Helper()
	token, err := w.kube.CoreV1().ServiceAccounts(namespace).CreateToken(context.Background(), account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	return token.Status.Token
}

// straight posts an event to the function itself, with a token or none. It gives
// the status, and what the function asks a sender for.
func (w *world) straight(token, id string, data []byte) (status int, asks string) {
	w.t.Helper()
	request, err := event(w.t.Context(), function, id, data)
	require.NoError(w.t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	require.NoError(w.t, response.Body.Close())
	return response.StatusCode, response.Header.Get("WWW-Authenticate")
}

func TestWhoeverSendsShowsWhoItIs(t *testing.T) {
	w := newWorld(t)
	w.kubectl("-n", namespace, "delete", "configmaps", "-l", "onefire/dead-letter=true")
	w.authenticate()
	w.choose("oidc", "clusterrole/onefire-senders", "clusterrolebinding/onefire-senders")

	// The source shows its token to the Broker, the Trigger's dispatcher its own to the function.
	f := newFires(t)
	pod := fresh("shown-")
	f.set(pod, 1)
	w.settlesFor("Fire", pod, 1)

	name := fresh("Straight")
	status, err := post(t.Context(), name, body(name, "api"))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, status, "the Broker asks too")
	for _, sender := range []struct {
		what, token string
		status      int
		asks        string
	}{
		{"no token", "", http.StatusUnauthorized, "Bearer"},
		{"the Trigger's token for somebody else", w.token(triggerAccount, "mt-broker-filter"), http.StatusUnauthorized, "Bearer"},
		{"a token of somebody else", w.token("onefire-source", functionAudience), http.StatusForbidden, ""},
	} {
		status, asks := w.straight(sender.token, name, body(name, "api"))
		require.Equal(t, sender.status, status, sender.what)
		require.Equal(t, sender.asks, asks, sender.what)
		t.Logf("%s: %d", sender.what, status)
	}
	require.Empty(t, w.named(name))
	status, _ = w.straight(w.token(triggerAccount, functionAudience), name, body(name, "api"))
	require.Equal(t, 2, status/100, "the same with the Trigger's token")
	w.settles(name, map[string]int{"api": 1})

	// A Trigger that may not send makes dead letters, with no try after the first; a replay
	// has a token of its own.
	require.Zero(t, w.letters(""))
	w.setEnv("OIDC_SUBJECTS", "system:serviceaccount:onefire:onefire-replay")
	name = fresh("Refused")
	w.raise(0, alert(name, "api"))
	// The alert from before may be repeated, and makes a letter too.
	ours := ",onefire/alertname=" + name
	require.Eventually(t, func() bool { return w.letters(ours+",onefire/error-code=403") == 1 }, settled, look)
	require.Empty(t, w.named(name))
	w.kubectl("-n", namespace, "create", "job", strings.ToLower(fresh("shown-")), "--from=cronjob/onefire-replay")
	w.settles(name, map[string]int{"api": 1})
	require.Eventually(t, func() bool { return w.letters(ours) == 0 }, settled, look)
}
