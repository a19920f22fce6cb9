// Package local runs all of Onefire on one machine: a real Kubernetes API,
// DataStorage and the function, each on a loopback address of its own.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"onefire/knative/crd"
	"onefire/mapping"
	"onefire/test/datastorage"
	"onefire/test/kubeapi"
)

const (
	// readyTimeout bounds the wait for the function; it takes milliseconds.
	readyTimeout = 30 * time.Second
	// stopTimeout is a little more than the function takes at most to drain.
	stopTimeout = 35 * time.Second
)

// Settings are the stack's addresses and state. The tag env names the variable.
type Settings struct {
	FunctionAddr    string `env:"LOCAL_FUNCTION_ADDR" envDefault:"127.0.0.1:8080"`
	DataStorageAddr string `env:"LOCAL_DATASTORAGE_ADDR" envDefault:"127.0.0.1:8090"`
	KubeAddr        string `env:"LOCAL_KUBE_ADDR" envDefault:"127.0.0.1:8443"`
	// State is the directory for kubeconfig, databases and logs.
	State string `env:"LOCAL_STATE" envDefault:".local"`
	// Schema is the function's, so that DataStorage asks for the same.
	Schema mapping.Schema `env:"AUDIT_SCHEMA" envDefault:"2026-01"`
}

// FromEnvironment reads the settings from the environment.
func FromEnvironment() (Settings, error) {
	s, err := env.ParseAs[Settings]()
	if err != nil {
		return Settings{}, fmt.Errorf("reading the LOCAL_ variables: %w", err)
	}
	return s, nil
}

// Kubeconfig is the path of the kubeconfig that a running stack writes.
func (s Settings) Kubeconfig() string { return filepath.Join(s.State, "kubeconfig") }

// AuditURL is where a running stack's DataStorage takes audit events.
func (s Settings) AuditURL() string { return "http://" + s.DataStorageAddr + datastorage.AuditPath }

// Kube starts the Kubernetes API alone and writes its kubeconfig.
func Kube(ctx context.Context, s Settings) (*kubeapi.Server, error) {
	if err := os.MkdirAll(s.State, 0o700); err != nil {
		return nil, fmt.Errorf("making %s: %w", s.State, err)
	}
	log, err := os.Create(filepath.Join(s.State, "kube.log"))
	if err != nil {
		return nil, fmt.Errorf("opening the API server's log: %w", err)
	}
	kube, err := kubeapi.Start(ctx, kubeapi.Options{Dir: filepath.Join(s.State, "kube"), Addr: s.KubeAddr, Log: log}, crd.YAML)
	if err != nil {
		return nil, fmt.Errorf("%w (LOCAL_KUBE_ADDR is %s; more in %s)", err, s.KubeAddr, log.Name())
	}
	if err := kube.WriteKubeconfig(s.Kubeconfig()); err != nil {
		kube.Stop()
		return nil, err
	}
	return kube, nil
}

// Run runs the whole stack until the context ends. function is the path of the
// function's binary. It calls ready once all of it answers.
func Run(ctx context.Context, s Settings, function string, ready func()) error {
	kube, err := Kube(ctx, s)
	if err != nil {
		return err
	}
	defer kube.Stop()

	//nolint:contextcheck // Opening a local file needs no deadline.
	data, err := datastorage.Open(datastorage.Options{Path: filepath.Join(s.State, "datastorage.db"), Schema: s.Schema})
	if err != nil {
		return err
	}
	defer data.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.DataStorageAddr)
	if err != nil {
		return fmt.Errorf("listening for DataStorage (LOCAL_DATASTORAGE_ADDR): %w", err)
	}
	server := &http.Server{Handler: data, ReadHeaderTimeout: readyTimeout}
	ended := make(chan error, 2)
	go func() { ended <- fmt.Errorf("DataStorage ended: %w", server.Serve(listener)) }()
	defer server.Close()

	child, err := startFunction(s, function)
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		ended <- fmt.Errorf("the function ended: %w", errors.Join(child.Wait(), errors.New("see its log above")))
		close(gone)
	}()
	defer stop(child, gone)

	if err := waitReady(ctx, "http://"+s.FunctionAddr+"/health/readiness", ended); err != nil {
		return err
	}
	ready()
	select {
	case <-ctx.Done():
		return nil
	case err := <-kube.Done():
		return fmt.Errorf("the Kubernetes API ended: %w", err)
	case err := <-ended:
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
}

// startFunction starts the function with the environment that it was given, so
// that every variable of its configuration works with the stack too.
func startFunction(s Settings, path string) (*exec.Cmd, error) {
	child := exec.Command(path)
	child.Env = append(os.Environ(),
		"LISTEN_ADDRESS="+s.FunctionAddr,
		"KUBECONFIG="+s.Kubeconfig(),
		"AUDIT_SINK="+s.AuditURL(),
	)
	child.Stdout, child.Stderr = io.Discard, os.Stderr
	child.SysProcAttr = childAttributes()
	if err := child.Start(); err != nil {
		return nil, fmt.Errorf("starting the function: %w", err)
	}
	return child, nil
}

func stop(child *exec.Cmd, gone <-chan struct{}) {
	// A child that is gone cannot be signalled, and need not be.
	_ = child.Process.Signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(stopTimeout):
		_ = child.Process.Kill()
		<-gone
	}
}

func waitReady(ctx context.Context, url string, ended <-chan error) error {
	deadline := time.After(readyTimeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-ended:
			return err
		case <-deadline:
			return fmt.Errorf("the function was not ready within %s", readyTimeout)
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
