// Package e2e tests Onefire as it runs: the function as a process of its own,
// built with the race detector, on a real Kubernetes API and a real DataStorage.
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/dedup"
	"onefire/test/child"
)

// All tests share one Kubernetes API, in which each has a namespace of its own, and
// the binaries.
var (
	kubeconfig     string
	kubeConfig     *rest.Config
	objects        dynamic.NamespaceableResourceInterface
	functionBinary string
	sourceBinary   string
	stackBinary    string
	tryBinary      string
)

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "onefire-e2e")
	if err != nil {
		return 0, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	functionBinary = filepath.Join(dir, "onefire")
	sourceBinary = filepath.Join(dir, "onefire-source")
	stackBinary = filepath.Join(dir, "onefire-local")
	tryBinary = filepath.Join(dir, "onefire-try")
	// The stack is built as users run it: the race detector would slow down
	// etcd and find nothing of ours there.
	for _, build := range [][]string{
		{".", stackBinary, "../cmd/onefire-local"},
		{".", tryBinary, "../cmd/onefire-try"},
		{"../..", functionBinary, "-race", "./function/cmd/onefire"},
		{"../..", sourceBinary, "-race", "./function/cmd/onefire-source"},
	} {
		if err := child.Build(build[0], build[1], build[2:]...); err != nil {
			return 0, err
		}
	}
	var stop func()
	if kubeconfig, stop, err = child.StartKube(stackBinary, dir); err != nil {
		return 0, err
	}
	defer stop()
	if kubeConfig, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return 0, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	kubeConfig.QPS = -1
	client, err := dynamic.NewForConfig(kubeConfig)
	if err != nil {
		return 0, fmt.Errorf("making a client: %w", err)
	}
	objects = client.Resource(dedup.Resource)
	return m.Run(), nil
}

// patience bounds every wait for something that takes milliseconds.
const patience = 30 * time.Second

// pollEvery is how often a wait looks.
const pollEvery = 20 * time.Millisecond
