package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
)

// startEmbedded starts the API server of `make run`.
func startEmbedded(ctx context.Context, dir string) (*api, error) {
	state := filepath.Join(dir, "local")
	kubeconfig := filepath.Join(state, "kubeconfig")
	p, err := start(dir, "onefire-local", []string{"LOCAL_STATE=" + state, "LOCAL_KUBE_ADDR=127.0.0.1:0"}, filepath.Join(binaries, "onefire-local"), "kube")
	if err != nil {
		return nil, err
	}
	a := &api{processes: []*process{p}}
	err = p.await(ctx, func(ctx context.Context) error {
		// The kubeconfig is written when all else is done.
		if _, err := os.Stat(kubeconfig); err != nil {
			return fmt.Errorf("looking for the kubeconfig: %w", err)
		}
		if a.http != nil {
			return a.serve(ctx)
		}
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return fmt.Errorf("reading the kubeconfig: %w", err)
		}
		if err := a.connect(dir, config, config); err != nil {
			return err
		}
		return a.serve(ctx)
	})
	if err != nil {
		_ = p.stop() // That it did not start is what matters.
		return nil, err
	}
	return a, nil
}
