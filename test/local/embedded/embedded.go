// Package embedded is the Kubernetes API of a stack on one machine that has no cluster.
package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"onefire/knative/crd"
	"onefire/test/kubeapi"
	"onefire/test/local"
)

// Open starts the API alone and writes its kubeconfig. The caller holds the state: see
// [local.Hold].
func Open(ctx context.Context, s local.Settings) (local.Cluster, error) {
	log, err := os.Create(filepath.Join(s.State, "kube.log"))
	if err != nil {
		return local.Cluster{}, fmt.Errorf("opening the API server's log: %w", err)
	}
	kube, err := kubeapi.Start(ctx, kubeapi.Options{Dir: filepath.Join(s.State, "kube"), Addr: s.KubeAddr, Log: log}, crd.YAML)
	if err != nil {
		return local.Cluster{}, fmt.Errorf("%w (LOCAL_KUBE_ADDR is %s; more in %s)", err, s.KubeAddr, log.Name())
	}
	if err := kube.WriteKubeconfig(s.Kubeconfig()); err != nil {
		kube.Stop()
		return local.Cluster{}, err
	}
	return local.Cluster{Done: kube.Done(), Stop: kube.Stop, Repair: func(ctx context.Context) (func(), error) {
		return repair(ctx, kube.Config)
	}}, nil
}
