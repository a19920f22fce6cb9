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
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	if kubeconfig != "" {
		loading.Precedence = filepath.SplitList(kubeconfig)
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no way to a Kubernetes API server (set KUBECONFIG, or run in a cluster): %w", err)
	}
	return config, nil
}
