// Package e2e asks a whole cluster whether Onefire keeps its promise: alert
// rules fire in a real Prometheus, and objects and audit events are counted
// behind a real Knative. It runs inside the cluster's namespaces, on a cluster
// that is up: `make cluster e2e`.
package e2e

import (
	"fmt"
	"os"
	"testing"

	"onefire/test/cluster/node"
	"onefire/test/cluster/paths"
)

func TestMain(m *testing.M) {
	if host, err := os.Hostname(); err != nil || host != node.Name {
		fmt.Fprintln(os.Stderr, "these tests run inside a cluster: start one with `make cluster`, and run them with `make e2e`")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// where finds the repository.
func where(t testing.TB) paths.Paths {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	p, err := paths.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
