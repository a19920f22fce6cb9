// Package wholekube runs a whole kube-apiserver with its etcd, from binaries, as
// processes that end with a test. Unlike package kubeapi it has namespaces,
// service accounts, their tokens, and RBAC.
package wholekube

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"onefire/test/child"
)

// Issuer is what the tokens of service accounts name as theirs.
const Issuer = "https://kubernetes.default.svc"

// Cluster is a running API server.
type Cluster struct {
	// Key signs the tokens of service accounts.
	Key *rsa.PrivateKey

	t       *testing.T
	dir     string
	address string
	admin   string
}

// Start starts an API server from a folder of binaries and waits until it
// answers.
func Start(t *testing.T, binaries string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, dir: t.TempDir(), address: child.AddressFor(t), admin: rand.Text()}
	clients, peers := "http://"+child.AddressFor(t), "http://"+child.AddressFor(t)
	c.run(binaries, "etcd", "--data-dir="+c.Path("etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+clients, "--advertise-client-urls="+clients,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers)
	require.NoError(t, os.WriteFile(c.Path("tokens.csv"), []byte(c.admin+`,admin,admin,"system:masters"`+"\n"), 0o600))
	var err error
	c.Key, err = rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.Path("key"), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(c.Key)}), 0o600))
	host, port, err := net.SplitHostPort(c.address)
	require.NoError(t, err)
	c.run(binaries, "kube-apiserver", "--etcd-servers="+clients, "--bind-address="+host, "--advertise-address="+host, "--secure-port="+port,
		"--endpoint-reconciler-type=none", "--cert-dir="+c.Path("pki"), "--token-auth-file="+c.Path("tokens.csv"), "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer="+Issuer,
		"--service-account-key-file="+c.Path("key"), "--service-account-signing-key-file="+c.Path("key"))
	require.Eventually(t, func() bool {
		if _, err := os.Stat(c.Path("pki/apiserver.crt")); err != nil {
			return false
		}
		_, err := c.Resource("", "v1", "namespaces").List(t.Context(), metav1.ListOptions{})
		return err == nil
	}, StartTimeout, PollEvery, "the API server does not start")
	return c
}

// Path is a file of the cluster's own.
func (c *Cluster) Path(name string) string { return filepath.Join(c.dir, name) }

// run starts a binary that ends with the test.
func (c *Cluster) run(binaries, name string, args ...string) {
	binary, err := filepath.Abs(filepath.Join(binaries, name))
	require.NoError(c.t, err)
	log, err := os.Create(c.Path(name + ".log"))
	require.NoError(c.t, err)
	cmd := exec.CommandContext(context.WithoutCancel(c.t.Context()), binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = child.DiesWithUs()
	require.NoError(c.t, cmd.Start(), "make test-kube builds it")
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // It was killed.
		_ = log.Close()
	})
}

// Config is a client configuration with a token; with an empty one, of who may do
// everything.
func (c *Cluster) Config(token string) *rest.Config {
	if token == "" {
		token = c.admin
	}
	return &rest.Config{
		Host: "https://" + c.address, BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.Path("pki/apiserver.crt")},
	}
}

// Kubeconfig writes such a configuration to a file.
func (c *Cluster) Kubeconfig(name, token string) string {
	path := c.Path(name + ".kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"x",
		"clusters":[{"name":"x","cluster":{"server":"https://%s","certificate-authority":%q}}],
		"users":[{"name":"x","user":{"token":%q}}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}`,
		c.address, c.Path("pki/apiserver.crt"), token)
	require.NoError(c.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// Resource is a kind of objects, for who may do everything.
func (c *Cluster) Resource(group, version, resource string) dynamic.NamespaceableResourceInterface {
	client, err := dynamic.NewForConfig(c.Config(""))
	require.NoError(c.t, err)
	return client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resource})
}

// Create makes an object of YAML; in a namespace, if one is named.
func (c *Cluster) Create(group, version, resource, namespace string, text []byte) {
	c.t.Helper()
	var o unstructured.Unstructured
	require.NoError(c.t, yaml.Unmarshal(text, &o.Object))
	into := dynamic.ResourceInterface(c.Resource(group, version, resource))
	if namespace != "" {
		into = c.Resource(group, version, resource).Namespace(namespace)
	}
	_, err := into.Create(c.t.Context(), &o, metav1.CreateOptions{})
	require.NoError(c.t, err)
}

// Token asks for a token of a service account that is made out to an audience;
// to the API server's own, if none is named.
func (c *Cluster) Token(namespace, account string, audiences ...string) string {
	c.t.Helper()
	request := map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": map[string]any{"name": account}}
	if len(audiences) > 0 {
		all := make([]any, len(audiences))
		for i, a := range audiences {
			all[i] = a
		}
		request["spec"] = map[string]any{"audiences": all}
	}
	answer, err := c.Resource("", "v1", "serviceaccounts").Namespace(namespace).Create(c.t.Context(),
		&unstructured.Unstructured{Object: request}, metav1.CreateOptions{}, "token")
	require.NoError(c.t, err)
	token, _, err := unstructured.NestedString(answer.Object, "status", "token")
	require.NoError(c.t, err)
	return token
}
