package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a child with a log of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	gone chan struct{}
}

// start starts a child that ends with us. Its output goes to a log in dir.
func start(dir, name string, environment []string, path string, args ...string) (*process, error) {
	log, err := os.CreateTemp(dir, name+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("making the log of %s: %w", name, err)
	}
	defer log.Close()
	//nolint:noctx // It is stopped in its turn, after the context has ended.
	p := &process{name: name, cmd: exec.Command(path, args...), log: log.Name(), gone: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = childAttributes()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // How it ended matters only while it is waited for, and is in its log.
		close(p.gone)
	}()
	return p, nil
}

// await asks until the child is ready.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.gone:
			return fmt.Errorf("%s ended: %s; see its log:\n%s", p.name, p.cmd.ProcessState, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its log:\n%s", p.name, err, p.tail())
		case <-time.After(pollEvery):
		}
	}
}

// tail is the end of the child's log.
func (p *process) tail() string {
	const most = 4 << 10
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}

// stop ends the child as Kubernetes does.
func (p *process) stop() error {
	// A child that is gone cannot be signalled, and need not be.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
		return nil
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.gone
		return fmt.Errorf("%s did not stop within %s and was killed", p.name, stopTimeout)
	}
}

// stopAll stops children in the reverse order of their start.
func stopAll(all []*process) error {
	var problems []error
	for i := len(all) - 1; i >= 0; i-- {
		problems = append(problems, all[i].stop())
	}
	return errors.Join(problems...)
}

// absolute is a binary's path for children with other working directories.
func absolute(path string) (string, error) {
	p, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding %s: %w", path, err)
	}
	if _, err := os.Stat(p); err != nil {
		return "", fmt.Errorf("finding a binary: %w", err)
	}
	return p, nil
}
