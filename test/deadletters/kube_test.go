//go:build kube

package deadletters

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"onefire/knative/crd"
)

var binaries = flag.String("binaries", "../../bin", "where kube-apiserver and etcd are")

const (
	namespace    = "onefire"
	startTimeout = 2 * time.Minute
	pollEvery    = 100 * time.Millisecond
)

// The users of the API server. All but the first are service accounts that have
// only the roles of knative/base.
const (
	admin  = "admin"
	store  = "onefire-deadletters"
	replay = "onefire-replay"
)

// cluster is a kube-apiserver with its etcd.
type cluster struct {
	t       *testing.T
	dir     string
	address string
	token   map[string]string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), address: free(t), token: map[string]string{admin: rand.Text(), store: rand.Text(), replay: rand.Text()}}
	clients, peers := "http://"+free(t), "http://"+free(t)
	c.start("etcd", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+clients, "--advertise-client-urls="+clients,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers)
	tokens := fmt.Sprintf("%s,admin,admin,\"system:masters\"\n", c.token[admin])
	for _, account := range []string{store, replay} {
		tokens += fmt.Sprintf("%s,system:serviceaccount:%s:%s,%s,\"system:serviceaccounts\"\n", c.token[account], namespace, account, account)
	}
	require.NoError(t, os.WriteFile(c.path("tokens.csv"), []byte(tokens), 0o600))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.path("key"), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	host, port, err := net.SplitHostPort(c.address)
	require.NoError(t, err)
	c.start("kube-apiserver", "--etcd-servers="+clients, "--bind-address="+host, "--advertise-address="+host, "--secure-port="+port,
		"--endpoint-reconciler-type=none", "--cert-dir="+c.path("pki"), "--token-auth-file="+c.path("tokens.csv"), "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.path("key"), "--service-account-signing-key-file="+c.path("key"))
	require.Eventually(t, func() bool {
		if _, err := os.Stat(c.path("pki/apiserver.crt")); err != nil {
			return false
		}
		_, err := c.resource(admin, "", "v1", "namespaces").List(t.Context(), metav1.ListOptions{})
		return err == nil
	}, startTimeout, pollEvery, "the API server does not start")

	c.apply("", "v1", "namespaces", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+namespace+`"}}`))
	c.apply("apiextensions.k8s.io", "v1", "customresourcedefinitions", crd.YAML)
	manifests, err := os.ReadFile("../../knative/base/deadletters.yaml")
	require.NoError(t, err)
	applied := 0
	for _, text := range bytes.Split(manifests, []byte("\n---\n")) {
		for kind, resource := range map[string]string{"\nkind: Role\n": "roles", "\nkind: RoleBinding\n": "rolebindings"} {
			if strings.Contains(string(text), kind) {
				c.apply("rbac.authorization.k8s.io", "v1", resource, text)
				applied++
			}
		}
	}
	require.Equal(t, 4, applied, "the roles of the dead-letter store and of the replay")
	require.Eventually(t, func() bool {
		_, err := c.resource(admin, "kubernaut.ai", "v1alpha1", "remediationrequests").List(t.Context(), metav1.ListOptions{})
		return err == nil
	}, startTimeout, pollEvery, "the CRD is not served")
	return c
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

// start starts a binary that ends with the test.
func (c *cluster) start(name string, args ...string) {
	binary, err := filepath.Abs(filepath.Join(*binaries, name))
	require.NoError(c.t, err)
	log, err := os.Create(c.path(name + ".log"))
	require.NoError(c.t, err)
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(c.t, cmd.Start(), "make test-kube builds it")
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // It was killed.
		_ = log.Close()
	})
}

// kubeconfig is a file with which a user comes to the API server.
func (c *cluster) kubeconfig(user string) string {
	path := c.path(user + ".kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"x",
		"clusters":[{"name":"x","cluster":{"server":"https://%s","certificate-authority":%q}}],
		"users":[{"name":"x","user":{"token":%q}}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}`,
		c.address, c.path("pki/apiserver.crt"), c.token[user])
	require.NoError(c.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (c *cluster) resource(user, group, version, resource string) dynamic.NamespaceableResourceInterface {
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig(user))
	require.NoError(c.t, err)
	client, err := dynamic.NewForConfig(config)
	require.NoError(c.t, err)
	return client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resource})
}

func (c *cluster) apply(group, version, resource string, text []byte) {
	var o unstructured.Unstructured
	require.NoError(c.t, yaml.Unmarshal(text, &o.Object))
	into := dynamic.ResourceInterface(c.resource(admin, group, version, resource))
	if strings.HasPrefix(resource, "role") {
		o.SetNamespace(namespace)
		for _, subject := range nested(o.Object, "subjects") {
			subject.(map[string]any)["namespace"] = namespace
		}
		into = c.resource(admin, group, version, resource).Namespace(namespace)
	}
	_, err := into.Create(c.t.Context(), &o, metav1.CreateOptions{})
	require.NoError(c.t, err)
}

func nested(o map[string]any, field string) []any {
	list, _, _ := unstructured.NestedFieldNoCopy(o, field) // It is nil where there is none.
	items, _ := list.([]any)
	return items
}

// may asks the API server what a service account may do.
func (c *cluster) may(user, verb, namespace, resource string) bool {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{"verb": verb, "namespace": namespace, "resource": resource}},
	}}
	answer, err := c.resource(user, "authorization.k8s.io", "v1", "selfsubjectaccessreviews").Create(c.t.Context(), review, metav1.CreateOptions{})
	require.NoError(c.t, err)
	allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	require.NoError(c.t, err)
	return allowed
}

// letters are the dead letters as anybody may see them.
func (c *cluster) letters() []unstructured.Unstructured {
	all, err := c.resource(admin, "", "v1", "configmaps").Namespace(namespace).List(c.t.Context(), metav1.ListOptions{LabelSelector: "onefire/dead-letter=true"})
	require.NoError(c.t, err)
	return all.Items
}

func free(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
