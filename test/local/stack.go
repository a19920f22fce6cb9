// Package local runs all of Onefire on one machine: DataStorage, the function and the
// source, each on a loopback address of its own, and a Kubernetes API. That is one that
// its caller starts, or a cluster that is there already, of which [Given] asks first.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"onefire/mapping"
	"onefire/test/child"
	"onefire/test/datastorage"
)

const (
	// readyTimeout bounds the wait for each process; it takes milliseconds.
	readyTimeout = 30 * time.Second
	// stopTimeout is a little more than the function takes at most to drain. The
	// source has nothing under way that takes longer than that.
	stopTimeout = 35 * time.Second
)

// Settings are the stack's addresses and state. The tag env names the variable.
type Settings struct {
	FunctionAddr    string `env:"LOCAL_FUNCTION_ADDR" envDefault:"127.0.0.1:8080"`
	SourceAddr      string `env:"LOCAL_SOURCE_ADDR" envDefault:"127.0.0.1:8081"`
	DataStorageAddr string `env:"LOCAL_DATASTORAGE_ADDR" envDefault:"127.0.0.1:8090"`
	KubeAddr        string `env:"LOCAL_KUBE_ADDR" envDefault:"127.0.0.1:8443"`
	// State is the directory for kubeconfig, databases and logs.
	State string `env:"LOCAL_STATE" envDefault:".local"`
	// Schema is the function's, so that DataStorage asks for the same.
	Schema mapping.Schema `env:"AUDIT_SCHEMA" envDefault:"2026-08"`
	// Window is the source's. Somebody who tries Onefire posts one webhook twice, and
	// means two notifications.
	Window string `env:"WINDOW" envDefault:"1s"`
	// Context, Confirm, Namespace and Placement are for a cluster that is there already:
	// see [Given].
	Context   string `env:"CLUSTER"`
	Confirm   string `env:"CONFIRM"`
	Namespace string `env:"REMEDIATION_NAMESPACE"`
	Placement string `env:"REMEDIATION_PLACEMENT"`
	// Restarter tells whether the example of a controller runs too.
	Restarter bool `env:"LOCAL_RESTARTER"`
}

// FromEnvironment reads the settings from the environment.
func FromEnvironment() (Settings, error) {
	s, err := env.ParseAs[Settings]()
	if err != nil {
		return Settings{}, fmt.Errorf("reading the LOCAL_ variables: %w", err)
	}
	return s, nil
}

// SourceURL is where a running stack takes Alertmanager's webhook.
func (s Settings) SourceURL() string { return "http://" + s.SourceAddr + "/alertmanager" }

// Kubeconfig is the path of the kubeconfig that a running stack writes.
func (s Settings) Kubeconfig() string { return filepath.Join(s.State, "kubeconfig") }

// Banner is the line that says that a stack is ready.
func Banner(s Settings, b Binaries) string {
	source := ""
	if b.Source != "" {
		source = "Alertmanager's webhook to " + s.SourceURL() + ", "
	}
	return fmt.Sprintf("ready: %sfunction http://%s, DataStorage %s, objects with KUBECONFIG=%s kubectl get remediationrequests",
		source, s.FunctionAddr, s.AuditURL(), s.Kubeconfig())
}

// AuditURL is where a running stack's DataStorage takes audit events.
func (s Settings) AuditURL() string { return "http://" + s.DataStorageAddr + datastorage.AuditPath }

// Hold makes the folder of the state, and takes it for this process until
// release is called. Etcd would wait for ever for another process to leave it.
func Hold(s Settings) (release func(), err error) {
	if err := os.MkdirAll(s.State, 0o700); err != nil {
		return nil, fmt.Errorf("making %s: %w", s.State, err)
	}
	if release, err = child.Hold(s.State); err != nil {
		return nil, fmt.Errorf("%w, or choose another folder with LOCAL_STATE", err)
	}
	return release, nil
}

// Cluster is the Kubernetes API that a stack works on. Its kubeconfig is at
// [Settings.Kubeconfig].
type Cluster struct {
	// Namespace is where the function makes objects; empty is the function's default.
	Namespace string
	// Done tells that the API ended by itself; nil where nobody would know.
	Done <-chan error
	// Stop gives it up.
	Stop func()
	// Repair runs the example of a controller until stop is called; nil where there is
	// none.
	Repair func(context.Context) (stop func(), err error)
}

// Opener starts or opens a cluster, and writes its kubeconfig. Its caller holds the
// state: see [Hold].
type Opener func(context.Context, Settings) (Cluster, error)

// Binaries are the paths of what runs as processes of their own. An empty Source
// is not run.
type Binaries struct {
	Function, Source string
	// Kube tells that the Kubernetes API listens here, too.
	Kube bool
}

// Run runs the whole stack until the context ends. It calls ready once all of it
// answers.
func Run(ctx context.Context, s Settings, b Binaries, open Opener, ready func()) error {
	release, err := Hold(s)
	if err != nil {
		return err
	}
	defer release()
	//nolint:contextcheck // To ask who listens takes no time.
	if err := unused(s, b); err != nil {
		return err
	}
	kube, err := open(ctx, s)
	if err != nil {
		return err
	}
	defer kube.Stop()

	//nolint:contextcheck // Opening a local file needs no deadline.
	data, err := datastorage.Open(datastorage.Options{Path: filepath.Join(s.State, "audit.db"), Schema: s.Schema})
	if err != nil {
		return err
	}
	defer data.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.DataStorageAddr)
	if err != nil {
		return fmt.Errorf("listening for DataStorage (LOCAL_DATASTORAGE_ADDR): %w", err)
	}
	server := &http.Server{Handler: data, ReadHeaderTimeout: readyTimeout}
	ended := make(chan error, 3)
	go func() { ended <- fmt.Errorf("DataStorage ended: %w", server.Serve(listener)) }()
	defer server.Close()

	for _, p := range processes(s, b, kube.Namespace) {
		//nolint:contextcheck // It is stopped in its turn, not killed when the context ends.
		stop, err := p.start(ended)
		if err != nil {
			return err
		}
		defer stop()
		if err := p.ready(ctx, ended); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	if s.Restarter && kube.Repair != nil {
		stop, err := kube.Repair(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	ready()
	select {
	case <-ctx.Done():
		return nil
	case err := <-kube.Done:
		return fmt.Errorf("the Kubernetes API ended: %w", err)
	case err := <-ended:
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
}

// unused asks that nobody else listens where the stack will: whoever does would
// be taken for it.
func unused(s Settings, b Binaries) error {
	addresses := map[string]string{"LOCAL_FUNCTION_ADDR": s.FunctionAddr, "LOCAL_DATASTORAGE_ADDR": s.DataStorageAddr}
	if b.Kube {
		addresses["LOCAL_KUBE_ADDR"] = s.KubeAddr
	}
	if b.Source != "" {
		addresses["LOCAL_SOURCE_ADDR"] = s.SourceAddr
	}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		if err := child.Unused(addresses[name]); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(wrong...)
}

// process is a binary with the environment that it is given on top of ours, so
// that every variable of its configuration works with the stack too.
type process struct {
	name, path, address string
	environment         []string
}

func processes(s Settings, b Binaries, namespace string) []process {
	environment := []string{"LISTEN_ADDRESS=" + s.FunctionAddr, "KUBECONFIG=" + s.Kubeconfig(), "AUDIT_SINK=" + s.AuditURL()}
	if namespace != "" {
		environment = append(environment, "REMEDIATION_NAMESPACE="+namespace)
	}
	all := []process{{"the function", b.Function, s.FunctionAddr, environment}}
	if b.Source != "" {
		// Metrics have one address, and that is the function's.
		all = append(all, process{"the source", b.Source, s.SourceAddr, []string{
			"LISTEN_ADDRESS=" + s.SourceAddr, "K_SINK=http://" + s.FunctionAddr, "METRICS_ADDRESS=", "WINDOW=" + s.Window,
		}})
	}
	return all
}

// start starts a process and says on ended when it is gone. stop ends it.
func (p process) start(ended chan<- error) (stop func(), err error) {
	cmd := exec.Command(p.path)
	cmd.Env = append(os.Environ(), p.environment...)
	cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	gone := make(chan struct{})
	go func() {
		ended <- fmt.Errorf("%s ended: %w", p.name, errors.Join(cmd.Wait(), errors.New("see its log above")))
		close(gone)
	}()
	return func() { end(cmd, gone) }, nil
}

// ready waits until the process answers.
func (p process) ready(ctx context.Context, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := child.Ready(ctx, "http://"+p.address+"/health/readiness", ended); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	return nil
}

func end(cmd *exec.Cmd, gone <-chan struct{}) {
	// A child that is gone cannot be signalled, and need not be.
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(stopTimeout):
		_ = cmd.Process.Kill()
		<-gone
	}
}
