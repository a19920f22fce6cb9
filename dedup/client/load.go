package client

import (
	"fmt"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Load finds the API server: by the kubeconfig files, of which there can be several, or
// else by client-go's usual rules, of which the last is the pod's service account.
func Load(kubeconfig string) (*rest.Config, error) {
	config, _, err := LoadWithNamespace(kubeconfig)
	return config, err
}

// LoadWithNamespace is [Load] for a caller that also needs its namespace: that of the
// kubeconfig's context, or that of the pod, which is in a file beside the service
// account's token.
func LoadWithNamespace(kubeconfig string) (config *rest.Config, namespace func() (string, error), err error) {
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	if kubeconfig != "" {
		loading.Precedence = filepath.SplitList(kubeconfig)
	}
	// Deferred loading falls back to the pod's own service account.
	deferred := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, nil)
	if config, err = deferred.ClientConfig(); err != nil {
		return nil, nil, fmt.Errorf("cannot find a Kubernetes API server (set KUBECONFIG, or run in a cluster): %w", err)
	}
	return config, func() (string, error) {
		namespace, _, err := deferred.Namespace()
		return namespace, err
	}, nil
}
