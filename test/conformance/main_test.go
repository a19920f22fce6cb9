package conformance

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/dedup"
)

var update = flag.Bool("update", false, "write docs/conformance.md")

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

// testMain starts a Kubernetes API as a process of its own: built into the test
// it would be built with the race detector, which takes minutes.
func testMain(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "onefire-conformance")
	if err != nil {
		return 0, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "onefire-local")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/onefire-local").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the Kubernetes API: %w\n%s", err, out)
	}
	kube := exec.Command(binary, "kube")
	kube.Env = append(os.Environ(), "LOCAL_STATE="+dir, "LOCAL_KUBE_ADDR=127.0.0.1:0")
	kube.Stderr = os.Stderr
	out, err := kube.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("starting the Kubernetes API: %w", err)
	}
	if err := kube.Start(); err != nil {
		return 0, fmt.Errorf("starting the Kubernetes API: %w", err)
	}
	defer func() {
		_ = kube.Process.Signal(syscall.SIGTERM)
		_ = kube.Wait() // It was told to end.
	}()
	if !bufio.NewScanner(out).Scan() {
		return 0, fmt.Errorf("the Kubernetes API did not start: %w", kube.Wait())
	}
	kubeconfig = filepath.Join(dir, "kubeconfig")
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
