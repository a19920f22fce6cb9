package restarter

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/test/child"
)

// The Kubernetes API of all tests.
var (
	kubeconfig string
	kube       dynamic.Interface
)

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "restarter:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "onefire-restarter")
	if err != nil {
		return 0, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "onefire-local")
	if err := child.Build(".", binary, "../cmd/onefire-local"); err != nil {
		return 0, err
	}
	var stop func()
	if kubeconfig, stop, err = child.StartKube(binary, dir); err != nil {
		return 0, err
	}
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return 0, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS = -1
	if kube, err = dynamic.NewForConfig(config); err != nil {
		return 0, fmt.Errorf("making a client: %w", err)
	}
	return m.Run(), nil
}
