package alternatives

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

var update = flag.Bool("update", false, "write the tables of docs/evidence.md anew")

// kube is a client configuration of the Kubernetes API of all tests.
var kube *rest.Config

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "alternatives:", err)
		code = 1
	}
	os.Exit(code)
}

// testMain starts a Kubernetes API as a process of its own: built into the test
// it would be built with the race detector, which takes minutes.
func testMain(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "onefire-alternatives")
	if err != nil {
		return 0, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "onefire-local")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/onefire-local").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the Kubernetes API: %w\n%s", err, out)
	}
	server := exec.Command(binary, "kube")
	server.Env = append(os.Environ(), "LOCAL_STATE="+dir, "LOCAL_KUBE_ADDR=127.0.0.1:0")
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("starting the Kubernetes API: %w", err)
	}
	if err := server.Start(); err != nil {
		return 0, fmt.Errorf("starting the Kubernetes API: %w", err)
	}
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}()
	if !bufio.NewScanner(out).Scan() {
		return 0, fmt.Errorf("the Kubernetes API did not start: %w", server.Wait())
	}
	if kube, err = clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig")); err != nil {
		return 0, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	kube.QPS = -1
	return m.Run(), nil
}
