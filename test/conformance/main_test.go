package conformance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/dedup"
	"onefire/test/child"
)

var update = flag.Bool("update", false, "write README.md")

// patience bounds every wait for something that takes milliseconds.
const patience = 30 * time.Second

// The Kubernetes API of all tests.
var (
	kubeconfig string
	objects    dynamic.NamespaceableResourceInterface
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of the time goes into pauses between tries, not into work.
	if err := flag.Set("test.parallel", "32"); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "onefire-conformance")
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
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return 0, fmt.Errorf("making a client: %w", err)
	}
	objects = client.Resource(dedup.Resource)
	return m.Run(), nil
}
