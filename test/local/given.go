package local

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"onefire/knative/crd"
)

const (
	// openTimeout bounds the check of a cluster, and the wait until it serves a new CRD,
	// which takes a second or two.
	openTimeout = 30 * time.Second
	// pollEvery is how often a new CRD is looked at.
	pollEvery = 100 * time.Millisecond
)

// Given is a cluster that is there already, as a kubeconfig names it. Somebody may have
// set the kubeconfig for something else: nothing is asked of the cluster before
// [Given.Confirm].
type Given struct {
	// config has one context, and all that it needs.
	config clientcmdapi.Config
	// namespace is where the function makes objects.
	namespace string
}

// Find reads what KUBECONFIG names, or the user's own kubeconfig where CLUSTER names a
// context.
func Find(s Settings) (*Given, error) {
	if s.Context == "" && os.Getenv(clientcmd.RecommendedConfigPathEnvVar) == "" {
		return nil, errors.New("which cluster: set KUBECONFIG, or CLUSTER to a context of your kubeconfig")
	}
	if s.Restarter {
		return nil, errors.New("LOCAL_RESTARTER is only for a Kubernetes API of its own: set CLUSTER=none, too")
	}
	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.CurrentContext = cmp.Or(s.Context, config.CurrentContext)
	current := config.Contexts[config.CurrentContext]
	if current == nil {
		return nil, fmt.Errorf("the kubeconfig has no context %q: set CLUSTER to one of %s",
			config.CurrentContext, strings.Join(slices.Sorted(maps.Keys(config.Contexts)), ", "))
	}
	if err := clientcmdapi.MinifyConfig(config); err != nil {
		return nil, fmt.Errorf("reading the context %s: %w", config.CurrentContext, err)
	}
	if config.Clusters[current.Cluster] == nil {
		return nil, fmt.Errorf("the context %s names no cluster of the kubeconfig", config.CurrentContext)
	}
	if err := clientcmdapi.FlattenConfig(config); err != nil {
		return nil, fmt.Errorf("reading the context %s: %w", config.CurrentContext, err)
	}
	return &Given{*config, cmp.Or(s.Namespace, current.Namespace, metav1.NamespaceDefault)}, nil
}

// Describe says what would be used, and what for.
func (g *Given) Describe(s Settings) string {
	name := g.config.CurrentContext
	current := g.config.Contexts[name]
	where := g.namespace
	if s.Placement == "signal" {
		where = "that of each alert; else " + g.namespace
	}
	return fmt.Sprintf(`Onefire is about to use a cluster that is there already:
  context    %s
  cluster    %s
  server     %s
  user       %s
  namespace  %s
Onefire installs the CRD remediationrequests.kubernaut.ai there unless the cluster has one, and makes, changes and
deletes RemediationRequests. Function, source and DataStorage run on this machine. The CRD and the RemediationRequests stay.
`, name, current.Cluster, g.config.Clusters[current.Cluster].Server, cmp.Or(current.AuthInfo, "-"), where)
}

// Confirm asks whether the cluster may be used. The answer is y or yes, or CONFIRM=yes of
// the settings; every other answer, and none, is an error.
func (g *Given) Confirm(ctx context.Context, s Settings, in io.Reader, out io.Writer) error {
	fmt.Fprint(out, g.Describe(s))
	if s.Confirm == "yes" {
		fmt.Fprintln(out, "CONFIRM=yes: going on.")
		return nil
	}
	fmt.Fprint(out, "Go on? [y/N] ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // The end of the input is no answer.
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return fmt.Errorf("not answered: %w", ctx.Err())
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
		return errors.New("not confirmed, and nothing was done: answer y, set CONFIRM=yes in a script, " +
			"or set CLUSTER=none for a Kubernetes API of its own")
	}
}

// Open installs the CRD where the cluster has none, and writes a kubeconfig with this one
// context. Stop of the result removes the kubeconfig, which may hold a password.
func (g *Given) Open(ctx context.Context, s Settings) (Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	config, err := clientcmd.NewDefaultClientConfig(g.config, nil).ClientConfig()
	if err != nil {
		return Cluster{}, fmt.Errorf("reading the context %s: %w", g.config.CurrentContext, err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return Cluster{}, fmt.Errorf("making a client: %w", err)
	}
	_, err = client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Get(ctx, g.namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) { // Somebody who may not see it may still be allowed to work in it.
		return Cluster{}, fmt.Errorf("the cluster has no namespace %s: make it, or set REMEDIATION_NAMESPACE", g.namespace)
	}
	if err := install(ctx, client); err != nil {
		return Cluster{}, err
	}
	own := g.config.DeepCopy()
	own.Contexts[own.CurrentContext].Namespace = g.namespace
	if err := clientcmd.WriteToFile(*own, s.Kubeconfig()); err != nil {
		return Cluster{}, fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return Cluster{Namespace: g.namespace, Stop: func() { _ = os.Remove(s.Kubeconfig()) }}, nil
}

// install installs the CRD where there is none, and waits until its objects are served.
func install(ctx context.Context, client dynamic.Interface) error {
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(crd.YAML, &object.Object); err != nil {
		return fmt.Errorf("reading the CRD: %w", err)
	}
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	_, err := crds.Get(ctx, object.GetName(), metav1.GetOptions{})
	if err == nil {
		return nil // It may be kubernaut's, or a newer one.
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("looking for the CRD: %w", err)
	}
	if _, err := crds.Create(ctx, object, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("installing the CRD: %w", err)
	}
	err = wait.PollUntilContextCancel(ctx, pollEvery, true, func(ctx context.Context) (bool, error) {
		there, err := crds.Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			return false, fmt.Errorf("looking at the new CRD: %w", err)
		}
		conditions, _, _ := unstructured.NestedSlice(there.Object, "status", "conditions")
		return slices.ContainsFunc(conditions, func(c any) bool {
			condition, _ := c.(map[string]any)
			return condition["type"] == "Established" && condition["status"] == "True"
		}), nil
	})
	if err != nil {
		return fmt.Errorf("waiting until the cluster serves the CRD: %w", err)
	}
	return nil
}
