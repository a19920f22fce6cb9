package bench

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"onefire/dedup"
	"onefire/knative/crd"
)

// The API servers to measure on.
const (
	// Full is a whole kube-apiserver: with RBAC, admission, and priority and
	// fairness.
	Full = "full"
	// Embedded is the API server of `make run`, which has none of them.
	Embedded = "embedded"
)

// api is a running API server.
type api struct {
	// admin may do everything; functions have rights of their own.
	admin *rest.Config
	http  *http.Client
	// objects are an admin's, bare those of a client like a function.
	objects, bare dynamic.NamespaceableResourceInterface
	kubeconfig    string
	processes     []*process
	// namespaces tells whether a namespace must be created before use.
	namespaces bool
}

// connect makes the clients. function is what functions, and the bare client
// beside them, are allowed to do.
func (a *api) connect(dir string, admin, function *rest.Config) error {
	var err error
	a.admin = rest.CopyConfig(admin)
	a.admin.QPS, a.admin.Timeout = -1, callTimeout
	if a.http, err = rest.HTTPClientFor(a.admin); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if a.objects, err = objectsAs(admin); err != nil {
		return err
	}
	if a.bare, err = objectsAs(function); err != nil {
		return err
	}
	a.kubeconfig = filepath.Join(dir, "function.kubeconfig")
	c := clientcmdapi.NewConfig()
	c.Clusters["bench"] = &clientcmdapi.Cluster{Server: function.Host, CertificateAuthority: function.CAFile, CertificateAuthorityData: function.CAData}
	c.AuthInfos["bench"] = &clientcmdapi.AuthInfo{Token: function.BearerToken}
	c.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "bench"}
	c.CurrentContext = "bench"
	if err := clientcmd.WriteToFile(*c, a.kubeconfig); err != nil {
		return fmt.Errorf("writing the functions' kubeconfig: %w", err)
	}
	return nil
}

// objectsAs is a plain client for our objects. Its own rate limit is off; the
// API server's stays.
func objectsAs(config *rest.Config) (dynamic.NamespaceableResourceInterface, error) {
	own := rest.CopyConfig(config)
	own.QPS, own.Timeout, own.UserAgent = -1, callTimeout, "onefire-bench"
	client, err := dynamic.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return client.Resource(dedup.Resource), nil
}

// apply installs manifests that are there when it returns.
func (a *api) apply(ctx context.Context, r schema.GroupVersionResource, manifest []byte) error {
	client, err := dynamic.NewForConfig(a.admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(manifest, &u.Object); err != nil {
		return fmt.Errorf("reading a manifest: %w", err)
	}
	if _, err := client.Resource(r).Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: "bench", Force: true}); err != nil {
		return fmt.Errorf("applying %s: %w", u.GetName(), err)
	}
	return nil
}

// serve installs the CRD and tells whether its objects are served.
func (a *api) serve(ctx context.Context) error {
	if err := a.apply(ctx, schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}, crd.YAML); err != nil {
		return err
	}
	// In the first two seconds of a CRD the server holds back every create; this
	// one waits for that, and fails because it has no spec.
	probe := &unstructured.Unstructured{}
	probe.SetAPIVersion(dedup.Resource.GroupVersion().String())
	probe.SetKind("RemediationRequest")
	probe.SetName("probe")
	_, err := a.objects.Namespace("default").Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if !apierrors.IsInvalid(err) {
		return fmt.Errorf("creating an object without a spec was not refused as invalid: %w", err)
	}
	return nil
}

// namespace makes a namespace where the API server asks for it.
func (a *api) namespace(ctx context.Context, name string) error {
	if !a.namespaces {
		return nil
	}
	manifest := fmt.Appendf(nil, "{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", name)
	return a.apply(ctx, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, manifest)
}

// ready asks the API server for readiness.
func (a *api) ready(ctx context.Context) error {
	body, err := a.get(ctx, "/readyz", "text/plain")
	if err != nil {
		return err
	}
	return body.Close()
}
