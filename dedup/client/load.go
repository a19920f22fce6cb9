package client

import (
	"fmt"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Load finds the API server: by the kubeconfig files, which may be several, else
// by the usual rules, of which the last is the pod's own service account.
func Load(kubeconfig string) (*rest.Config, error) {
	config, _, err := LoadWithNamespace(kubeconfig)
	return config, err
}

// LoadWithNamespace is [Load] for a caller that asks in which namespace it is: that of
// the kubeconfig's context, or of the pod, where it stands beside the service account's
// token.
func LoadWithNamespace(kubeconfig string) (config *rest.Config, namespace func() (string, error), err error) {
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	if kubeconfig != "" {
		loading.Precedence = filepath.SplitList(kubeconfig)
	}
	// Deferred loading falls back to the pod's own service account.
	deferred := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, nil)
	if config, err = deferred.ClientConfig(); err != nil {
		return nil, nil, fmt.Errorf("no way to a Kubernetes API server (set KUBECONFIG, or run in a cluster): %w", err)
	}
	return config, func() (string, error) {
		namespace, _, err := deferred.Namespace()
		return namespace, err
	}, nil
}
