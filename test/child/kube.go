package child

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// StartKube starts the local Kubernetes API and waits until it serves: as a
// process of its own, because built into a test it would be built with the race
// detector, which takes minutes. binary is onefire-local, state a folder for all
// that it keeps. stop ends it.
func StartKube(binary, state string) (kubeconfig string, stop func(), err error) {
	kube := exec.Command(binary, "kube") //nolint:noctx // It is asked to stop, not killed when a context ends.
	// The port is its own choice, and stands in the kubeconfig.
	kube.Env = append(os.Environ(), "LOCAL_STATE="+state, "LOCAL_KUBE_ADDR=127.0.0.1:0")
	kube.Stderr = os.Stderr
	kube.SysProcAttr = DiesWithUs()
	out, err := kube.StdoutPipe()
	if err != nil {
		return "", nil, fmt.Errorf("starting the Kubernetes API: %w", err)
	}
	if err := kube.Start(); err != nil {
		return "", nil, fmt.Errorf("starting the Kubernetes API: %w", err)
	}
	if !bufio.NewScanner(out).Scan() {
		return "", nil, fmt.Errorf("the Kubernetes API did not start: %w", kube.Wait())
	}
	return filepath.Join(state, "kubeconfig"), func() {
		_ = kube.Process.Signal(syscall.SIGTERM) // A process that is gone need not be stopped.
		_ = kube.Wait()                          // It was told to end.
	}, nil
}
