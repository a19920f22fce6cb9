package backtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onefire/test/child"
)

// All tests share these.
var functionBinary, prometheusBinary, kubeconfig string

const (
	// patience bounds every wait.
	patience  = 60 * time.Second
	pollEvery = 20 * time.Millisecond
)

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "backtest:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "onefire-backtest")
	if err != nil {
		return 0, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	functionBinary = filepath.Join(dir, "onefire")
	prometheusBinary = filepath.Join(dir, "prometheus")
	stack := filepath.Join(dir, "onefire-local")
	for _, build := range [][]string{
		{".", stack, "../cmd/onefire-local"},
		{"../..", functionBinary, "-race", "./function/cmd/onefire"},
		// Minutes on a cold cache. It scrapes nothing here, so it needs no way to
		// find targets.
		{"../observability", prometheusBinary, "-tags", "remove_all_sd", "github.com/prometheus/prometheus/cmd/prometheus"},
	} {
		if err := child.Build(build[0], build[1], build[2:]...); err != nil {
			return 0, err
		}
	}
	var stop func()
	if kubeconfig, stop, err = child.StartKube(stack, dir); err != nil {
		return 0, err
	}
	defer stop()
	return m.Run(), nil
}
