// Package wholekube is a whole kube-apiserver with its etcd for tests, with the
// roles that are deployed. It needs the binaries of both; `make test-kube`
// builds them.
package wholekube

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
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
	"onefire/test/process"
)

const (
	// Namespace is where all of it is deployed.
	Namespace = "onefire"
	// StartTimeout bounds the wait for any server; a whole API server takes ten
	// seconds.
	StartTimeout = 2 * time.Minute
	// PollEvery is how often a wait looks.
	PollEvery = 100 * time.Millisecond
)

// The users of the API server. All but the first are service accounts that have
// only the roles of knative/base.
const (
	Admin    = "admin"
	Function = "onefire"
	Store    = "onefire-deadletters"
	Replay   = "onefire-replay"
)

// Cluster is a kube-apiserver with its etcd.
type Cluster struct {
	t             *testing.T
	binaries, dir string
	address       string
	token         map[string]string
}

// Start starts a cluster that ends with the test. binaries is the directory of
// kube-apiserver and etcd.
func Start(t *testing.T, binaries string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, binaries: binaries, dir: t.TempDir(), address: address(t), token: map[string]string{}}
	for _, user := range []string{Admin, Function, Store, Replay} {
		c.token[user] = rand.Text()
	}
	clients, peers := "http://"+address(t), "http://"+address(t)
	c.start("etcd", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+clients, "--advertise-client-urls="+clients,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers)
	tokens := fmt.Sprintf("%s,admin,admin,\"system:masters\"\n", c.token[Admin])
	for _, account := range []string{Function, Store, Replay} {
		tokens += fmt.Sprintf("%s,system:serviceaccount:%s:%s,%s,\"system:serviceaccounts\"\n", c.token[account], Namespace, account, account)
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
		_, err := c.Resource(Admin, "", "v1", "namespaces").List(t.Context(), metav1.ListOptions{})
		return err == nil
	}, StartTimeout, PollEvery, "the API server does not start")

	c.apply("", "v1", "namespaces", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+Namespace+`"}}`))
	c.apply("apiextensions.k8s.io", "v1", "customresourcedefinitions", crd.YAML)
	applied := 0
	for _, file := range []string{"function.yaml", "deadletters.yaml"} {
		manifests, err := os.ReadFile(filepath.Join("..", "..", "knative", "base", file))
		require.NoError(t, err)
		for _, text := range bytes.Split(manifests, []byte("\n---\n")) {
			for kind, resource := range map[string]string{"\nkind: Role\n": "roles", "\nkind: RoleBinding\n": "rolebindings"} {
				if strings.Contains(string(text), kind) {
					c.apply("rbac.authorization.k8s.io", "v1", resource, text)
					applied++
				}
			}
		}
	}
	require.Equal(t, 6, applied, "the roles of the function, the dead-letter store and the replay")
	require.Eventually(t, func() bool {
		_, err := c.Resource(Admin, "kubernaut.ai", "v1alpha1", "remediationrequests").List(t.Context(), metav1.ListOptions{})
		return err == nil
	}, StartTimeout, PollEvery, "the CRD is not served")
	return c
}

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }

// start starts a binary that ends with the test.
func (c *Cluster) start(name string, args ...string) {
	binary, err := filepath.Abs(filepath.Join(c.binaries, name))
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

// Kubeconfig is a file with which a user comes to the API server.
func (c *Cluster) Kubeconfig(user string) string {
	path := c.path(user + ".kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"x",
		"clusters":[{"name":"x","cluster":{"server":"https://%s","certificate-authority":%q}}],
		"users":[{"name":"x","user":{"token":%q}}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}`,
		c.address, c.path("pki/apiserver.crt"), c.token[user])
	require.NoError(c.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// Resource is a client for a resource, as a user.
func (c *Cluster) Resource(user, group, version, resource string) dynamic.NamespaceableResourceInterface {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig(user))
	require.NoError(c.t, err)
	client, err := dynamic.NewForConfig(config)
	require.NoError(c.t, err)
	return client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resource})
}

func (c *Cluster) apply(group, version, resource string, text []byte) {
	var o unstructured.Unstructured
	require.NoError(c.t, yaml.Unmarshal(text, &o.Object))
	into := dynamic.ResourceInterface(c.Resource(Admin, group, version, resource))
	if strings.HasPrefix(resource, "role") {
		o.SetNamespace(Namespace)
		for _, subject := range nested(o.Object, "subjects") {
			subject.(map[string]any)["namespace"] = Namespace
		}
		into = c.Resource(Admin, group, version, resource).Namespace(Namespace)
	}
	_, err := into.Create(c.t.Context(), &o, metav1.CreateOptions{})
	require.NoError(c.t, err)
}

func nested(o map[string]any, field string) []any {
	list, _, _ := unstructured.NestedFieldNoCopy(o, field) // It is nil where there is none.
	items, _ := list.([]any)
	return items
}

// May asks the API server what a service account may do to a resource of the
// core group.
func (c *Cluster) May(user, verb, namespace, resource string) bool {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{"verb": verb, "namespace": namespace, "resource": resource}},
	}}
	answer, err := c.Resource(user, "authorization.k8s.io", "v1", "selfsubjectaccessreviews").Create(c.t.Context(), review, metav1.CreateOptions{})
	require.NoError(c.t, err)
	allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	require.NoError(c.t, err)
	return allowed
}

func address(t *testing.T) string {
	t.Helper()
	a, err := process.Address()
	require.NoError(t, err)
	return a
}
