package node

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is one of the node's, started again when it ends by itself.
type process struct {
	name string
	args []string
	log  string

	mu sync.Mutex
	// wanted is false while it shall stay stopped.
	wanted bool
	cmd    *exec.Cmd
	// ended is closed when cmd has ended.
	ended chan struct{}
}

// keep runs the process until ctx ends.
func (p *process) keep(ctx context.Context) {
	p.mu.Lock()
	p.wanted = true
	p.mu.Unlock()
	for ctx.Err() == nil {
		if ended := p.start(); ended != nil {
			<-ended
		}
		pause := time.NewTimer(restartPause)
		select {
		case <-ctx.Done():
			pause.Stop()
		case <-pause.C:
		}
	}
}

// start starts the process if it is wanted, and returns what is closed at
// its end; nil if it is not to run.
func (p *process) start() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wanted {
		return nil
	}
	log, err := os.OpenFile(filepath.Join(p.log, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return nil
	}
	defer log.Close()
	cmd := exec.Command(p.args[0], p.args[1:]...) //nolint:noctx // stop ends it, with a signal first.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "start %s: %v\n", p.name, err)
		return nil
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		err := cmd.Wait()
		fmt.Fprintf(os.Stderr, "%s ended: %v\n", p.name, err)
		close(ended)
	}()
	return ended
}

// set starts or stops the process, and returns when that is done. Stopping
// is SIGTERM and, when kill is set or patience ends, SIGKILL.
func (p *process) set(wanted, kill bool) {
	p.mu.Lock()
	p.wanted = wanted
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if wanted || cmd == nil {
		return // keep starts it within restartPause.
	}
	signal := syscall.SIGTERM
	if kill {
		signal = syscall.SIGKILL
	}
	_ = cmd.Process.Signal(signal) // It may have ended.
	patience := time.NewTimer(stopWait)
	defer patience.Stop()
	select {
	case <-ended:
	case <-patience.C:
		_ = cmd.Process.Kill()
		<-ended
	}
}

// control answers POST /<process>/start, /<process>/stop and /<process>/kill.
func control(all map[string]*process) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{process}/{do}", func(w http.ResponseWriter, r *http.Request) {
		p, do := all[r.PathValue("process")], r.PathValue("do")
		if p == nil || do != "start" && do != "stop" && do != "kill" {
			http.Error(w, "POST /<process>/start, stop or kill", http.StatusNotFound)
			return
		}
		p.set(do == "start", do == "kill")
	})
	return mux
}
