package alertmanager

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"onefire/test/child"
)

// The binaries that all tests share.
var alertmanagerBinary, sourceBinary string

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "alertmanager:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "onefire-alertmanager")
	if err != nil {
		return 0, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	sourceBinary = filepath.Join(dir, "onefire-source")
	if err := child.Build("../..", sourceBinary, "-race", "./function/cmd/onefire-source"); err != nil {
		return 0, err
	}
	alertmanagerBinary = filepath.Join(dir, "alertmanager")
	if err := buildAlertmanager(filepath.Join(dir, "copy"), alertmanagerBinary); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// buildAlertmanager builds the version that knative/verify pins. The module has no
// user interface in it and does not compile without one, so the build is of a copy
// with an empty page. A minute on a cold cache.
func buildAlertmanager(work, out string) error {
	download := exec.Command("go", "mod", "download", "-json", "github.com/prometheus/alertmanager")
	download.Dir = filepath.Join("..", "..", "knative", "verify")
	text, err := download.Output()
	if err != nil {
		return fmt.Errorf("downloading Alertmanager: %w\n%s", err, text)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(text, &module); err != nil {
		return fmt.Errorf("downloading Alertmanager: %w", err)
	}
	if err := os.CopyFS(work, os.DirFS(module.Dir)); err != nil {
		return fmt.Errorf("copying Alertmanager: %w", err)
	}
	pages := filepath.Join(work, "ui", "app", "dist")
	if err := os.MkdirAll(pages, 0o700); err != nil {
		return fmt.Errorf("making its page: %w", err)
	}
	if err := os.WriteFile(filepath.Join(pages, "index.html"), nil, 0o600); err != nil {
		return fmt.Errorf("making its page: %w", err)
	}
	return child.Build(work, out, "-trimpath", "./cmd/alertmanager")
}
