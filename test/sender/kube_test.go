//go:build kube

package sender

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"onefire/dedup"
	"onefire/function"
	"onefire/function/kube"
	"onefire/knative/crd"
	"onefire/test/wholekube"
)

var (
	binaries = flag.String("binaries", "../../bin", "where kube-apiserver and etcd are")
	update   = flag.Bool("update", false, "record the API server's answers anew")
)

const (
	namespace = "onefire"
	audience  = "serving.knative.dev/service/onefire/onefire"
	// trigger is whom Knative sends events as, for the Trigger onefire.
	trigger  = "onefire-oidc-eventing.knative.dev-trigger"
	subject  = "system:serviceaccount:" + namespace + ":" + trigger
	recorded = "../../function/kube/testdata"
)

func account(c *wholekube.Cluster, name string) {
	c.Create("", "v1", "serviceaccounts", namespace, []byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"`+name+`"}}`))
}

func remove(t *testing.T, c *wholekube.Cluster, name string) {
	t.Helper()
	require.NoError(t, c.Resource("", "v1", "serviceaccounts").Namespace(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}))
}

// manifests applies what a file of the deployment grants.
func manifests(t *testing.T, c *wholekube.Cluster, path string, kinds map[string]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for object := range strings.SplitSeq(string(text), "\n---\n") {
		for kind, resource := range kinds {
			if !strings.Contains(object, "\nkind: "+kind+"\n") {
				continue
			}
			in := namespace
			if strings.HasPrefix(kind, "Cluster") {
				in = ""
			}
			object = strings.ReplaceAll(object, "  - kind: ServiceAccount\n    name: onefire\n", "  - kind: ServiceAccount\n    name: onefire\n    namespace: onefire\n")
			object = strings.ReplaceAll(object, "    namespace: onefire\n    namespace: onefire\n", "    namespace: onefire\n")
			c.Create("rbac.authorization.k8s.io", "v1", resource, in, []byte(object))
		}
	}
}

// cluster is an API server with the namespace and the accounts of Onefire and
// its Trigger, and of somebody else.
func cluster(t *testing.T) *wholekube.Cluster {
	t.Helper()
	c := wholekube.Start(t, *binaries)
	c.Create("", "v1", "namespaces", "", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+namespace+`"}}`))
	for _, name := range []string{"onefire", trigger, "somebody", "gone"} {
		account(c, name)
	}
	return c
}

// sign makes a token as the API server does, or, with another key, one that it
// never made.
func sign(t *testing.T, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	encode := func(v any) string {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := encode(map[string]string{"alg": "RS256"}) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// like are the claims of a token, with another end.
func like(t *testing.T, token string, end time.Time) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	claims := map[string]any{}
	require.NoError(t, json.Unmarshal(payload, &claims))
	claims["exp"], claims["iat"], claims["nbf"] = end.Unix(), end.Add(-time.Hour).Unix(), end.Add(-time.Hour).Unix()
	return claims
}

// tokens are those that the API server is asked about, by what is the matter.
func tokens(t *testing.T, c *wholekube.Cluster) map[string]string {
	t.Helper()
	good, gone := c.Token(namespace, trigger, audience), c.Token(namespace, "gone", audience)
	remove(t, c, "gone")
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return map[string]string{
		"good":           good,
		"somebody":       c.Token(namespace, "somebody", audience),
		"other-audience": c.Token(namespace, trigger, "serving.knative.dev/service/onefire/other"),
		"two-audiences":  c.Token(namespace, trigger, "other", audience),
		"own-audience":   c.Token(namespace, trigger),
		"deleted":        gone,
		"expired":        sign(t, c.Key, like(t, good, time.Now().Add(-time.Minute))),
		"forged":         sign(t, other, like(t, good, time.Now().Add(time.Hour))),
		"malformed":      "a.b.c",
	}
}

// These parts of an answer differ from run to run.
var (
	uids        = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	credentials = regexp.MustCompile(`JTI=[^"]*`)
)

// TestTheRecordedAnswersAreReal holds the answers that the tests without an API
// server use against those of a whole one.
func TestTheRecordedAnswersAreReal(t *testing.T) {
	c := cluster(t)
	for name, token := range tokens(t, c) {
		t.Run(name, func(t *testing.T) {
			answer, err := c.Resource("authentication.k8s.io", "v1", "tokenreviews").Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
				"spec": map[string]any{"token": token, "audiences": []any{audience}},
			}}, metav1.CreateOptions{})
			require.NoError(t, err)
			delete(answer.Object, "metadata")
			require.NoError(t, unstructured.SetNestedField(answer.Object, "TOKEN", "spec", "token"))
			text, err := json.MarshalIndent(answer.Object, "", "  ")
			require.NoError(t, err)
			text = uids.ReplaceAll(text, []byte("00000000-0000-0000-0000-000000000000"))
			text = append(credentials.ReplaceAll(text, []byte("JTI=0")), '\n')
			path := filepath.Join(recorded, name+".json")
			if *update {
				require.NoError(t, os.WriteFile(path, text, 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), string(text), "record it anew with -update")
		})
	}
}

// deployed is a function with the rights of its deployment.
func deployed(t *testing.T, c *wholekube.Cluster, environment map[string]string) http.Handler {
	t.Helper()
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	t.Cleanup(sink.Close)
	all := map[string]string{
		"KUBECONFIG": c.Kubeconfig("onefire", c.Token(namespace, "onefire")), "REMEDIATION_NAMESPACE": namespace,
		"AUDIT_SINK": sink.URL, "OIDC_AUDIENCE": audience, "OIDC_SUBJECTS": subject,
	}
	for name, value := range environment {
		all[name] = value
	}
	f := function.New()
	require.NoError(t, f.Start(t.Context(), all))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		require.NoError(t, f.Stop(ctx))
	})
	return f
}

// post posts an event of one alert and gives the answer.
func post(t *testing.T, f http.Handler, alertname string, authorization ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(
		`{"status":"firing","labels":{"alertname":"`+alertname+`","namespace":"a","pod":"p"},"startsAt":"2026-01-17T11:00:00Z"}`))
	for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Type": "io.prometheus.alert.v1", "Ce-Source": "/s", "Ce-Id": alertname, "Content-Type": "application/json"} {
		r.Header.Set(name, value)
	}
	r.Header["Authorization"] = authorization
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func objects(t *testing.T, c *wholekube.Cluster) int {
	t.Helper()
	all, err := c.Resource(dedup.Resource.Group, dedup.Resource.Version, dedup.Resource.Resource).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	return len(all.Items)
}

func TestOnlyTheTriggerMaySend(t *testing.T) {
	c := cluster(t)
	c.Create("apiextensions.k8s.io", "v1", "customresourcedefinitions", "", crd.YAML)
	manifests(t, c, "../../knative/base/function.yaml", map[string]string{"Role": "roles", "RoleBinding": "rolebindings"})
	require.Eventually(t, func() bool {
		_, err := c.Resource(dedup.Resource.Group, dedup.Resource.Version, dedup.Resource.Resource).List(t.Context(), metav1.ListOptions{})
		return err == nil
	}, time.Minute, 100*time.Millisecond, "the CRD is not served")
	all := tokens(t, c)
	f := deployed(t, c, nil)

	without := post(t, f, "NoRights", "Bearer "+all["good"])
	require.Equal(t, http.StatusServiceUnavailable, without.Code, "what an operator can put right is not lost: %s", without.Body)
	require.NotEmpty(t, without.Header().Get("Retry-After"))
	require.Contains(t, without.Body.String(), "tokenreviews")
	manifests(t, c, "../../knative/components/oidc/clusterrole.yaml", map[string]string{"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"})
	require.Eventually(t, func() bool { return post(t, f, "Good", "Bearer "+all["good"]).Code == http.StatusOK }, time.Minute, 100*time.Millisecond)
	require.Equal(t, 1, objects(t, c))

	for reason, row := range map[string]struct {
		authorization []string
		status        int
	}{
		"two audiences, ours among them":  {[]string{"Bearer " + all["two-audiences"]}, http.StatusOK},
		"no token":                        {nil, http.StatusUnauthorized},
		"malformed":                       {[]string{"Bearer " + all["malformed"]}, http.StatusUnauthorized},
		"for another audience":            {[]string{"Bearer " + all["other-audience"]}, http.StatusUnauthorized},
		"for the API server":              {[]string{"Bearer " + all["own-audience"]}, http.StatusUnauthorized},
		"expired":                         {[]string{"Bearer " + all["expired"]}, http.StatusUnauthorized},
		"signed by somebody else":         {[]string{"Bearer " + all["forged"]}, http.StatusUnauthorized},
		"of an account that is gone":      {[]string{"Bearer " + all["deleted"]}, http.StatusUnauthorized},
		"of an account that may not send": {[]string{"Bearer " + all["somebody"]}, http.StatusForbidden},
		"two headers":                     {[]string{"Bearer " + all["good"], "Bearer " + all["good"]}, http.StatusUnauthorized},
		"too long":                        {[]string{"Bearer " + all["good"] + strings.Repeat("A", 100_000)}, http.StatusUnauthorized},
	} {
		t.Run(reason, func(t *testing.T) {
			before := objects(t, c)
			w := post(t, f, strings.ReplaceAll(reason, " ", "-"), row.authorization...)
			require.Equal(t, row.status, w.Code, w.Body)
			require.Equal(t, row.status == http.StatusUnauthorized, w.Header().Get("WWW-Authenticate") == "Bearer")
			want := before
			if row.status == http.StatusOK {
				want++
			}
			require.Equal(t, want, objects(t, c))
		})
	}
	t.Run("everybody may, where no subjects are named", func(t *testing.T) {
		require.Equal(t, http.StatusOK, post(t, deployed(t, c, map[string]string{"OIDC_SUBJECTS": ""}), "Any", "Bearer "+all["somebody"]).Code)
	})
	t.Run("an account that is deleted is soon refused", func(t *testing.T) {
		require.Equal(t, http.StatusOK, post(t, f, "Before", "Bearer "+all["good"]).Code)
		remove(t, c, trigger)
		begun := time.Now()
		// The answer stands for 30 s, and the API server remembers for 10 s too.
		require.Eventually(t, func() bool { return post(t, f, "After", "Bearer "+all["good"]).Code == http.StatusUnauthorized }, time.Minute, time.Second)
		t.Logf("refused %s after the account was deleted", time.Since(begun).Round(time.Second))
	})
}

func TestWithoutAnAPIServerNobodyIsLetInAndNothingIsLost(t *testing.T) {
	c := cluster(t)
	v, err := kube.NewVerifier(&rest.Config{Host: "https://127.0.0.1:1"}, kube.VerifierOptions{Audience: audience})
	require.NoError(t, err)
	_, err = v.Check(t.Context(), http.Header{"Authorization": {"Bearer " + c.Token(namespace, trigger, audience)}})
	require.Error(t, err)
	require.NotErrorIs(t, err, kube.ErrUnknownSender, "it is for a later try")
	require.NotErrorIs(t, err, kube.ErrNotAllowed)
}
