package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onefire/test/cluster/paths"
)

// Start makes namespaces for network, mounts and processes, with `init` of
// this program as their first process, and returns when the node is ready. The cluster
// outlives the caller. ctx bounds the wait only.
func Start(ctx context.Context, p paths.Paths) error {
	if pid, err := PID(p); err == nil {
		return fmt.Errorf("a cluster is running already (process %d): take it down with `make cluster-down`", pid)
	}
	if err := os.RemoveAll(p.State); err != nil {
		return fmt.Errorf("remove what an earlier cluster left: %w", err)
	}
	if err := os.MkdirAll(p.Log(), 0o755); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.Log(), "node.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	first := exec.Command(self, "init") //nolint:noctx // It outlives every context.
	first.Dir, first.Stdout, first.Stderr = p.Repo, log, log
	first.SysProcAttr = &syscall.SysProcAttr{Setsid: true,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC}
	if err := first.Start(); err != nil {
		return fmt.Errorf("make the cluster's namespaces (are you root?): %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	if err := os.WriteFile(p.PID(), []byte(strconv.Itoa(first.Process.Pid)), 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*startWait)
	defer cancel()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("the node ended (%w): see %s", err, log.Name())
		case <-ctx.Done():
			return fmt.Errorf("the node is not ready: see %s: %w", p.Log(), ctx.Err())
		case <-time.After(pollEvery):
			if _, err := os.Stat(p.Control()); err == nil {
				return first.Process.Release()
			}
		}
	}
}

// PID is the cluster's first process, as seen from outside. It returns
// os.ErrProcessDone or os.ErrNotExist when there is no cluster.
func PID(p paths.Paths) (int, error) {
	text, err := os.ReadFile(p.PID())
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", p.PID(), err)
	}
	// The number may have gone to another process since.
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.HasSuffix(string(command), Name+"\x00init\x00") {
		return 0, os.ErrProcessDone
	}
	return pid, nil
}

// Enter makes a command that runs inside the cluster's namespaces, where its
// addresses and names are good. KUBECONFIG is set.
func Enter(ctx context.Context, p paths.Paths, name string, args ...string) (*exec.Cmd, error) {
	pid, err := PID(p)
	if err != nil {
		return nil, fmt.Errorf("no cluster is running, start one with `make cluster`: %w", err)
	}
	all := append([]string{"--target", strconv.Itoa(pid), "--net", "--mount", "--pid", "--uts", "--ipc", "--wdns=" + p.Repo, name}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", all...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.Kubeconfig(), "PATH="+p.SearchPath())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd, nil
}

// Stop ends every process of the cluster, removes its cgroups and its state,
// and returns an error that names whatever remains.
func Stop(ctx context.Context, p paths.Paths) error {
	ctx, cancel := context.WithTimeout(ctx, endWait)
	defer cancel()
	pid, err := PID(p)
	if err == nil {
		// The first process of a namespace takes all others with it.
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
	}
	for {
		left := remains(p)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("these remain of the cluster: %s", strings.Join(left, ", "))
		case <-time.After(pollEvery):
			removeCgroups()
			if _, err := PID(p); err != nil {
				_ = os.RemoveAll(p.State) // The error above names what cannot be removed.
			}
		}
	}
}

// remains lists what there is of a cluster outside of the built files.
func remains(p paths.Paths) (left []string) {
	if pid, err := PID(p); err == nil {
		left = append(left, fmt.Sprintf("process %d", pid))
	}
	if _, err := os.Lstat(p.State); err == nil {
		left = append(left, p.State)
	}
	left = append(left, cgroups()...)
	links, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return append(left, err.Error())
	}
	for line := range strings.Lines(string(links)) {
		if strings.Contains(line, p.State) || strings.Contains(line, runDir) {
			left = append(left, "mount "+strings.Fields(line)[1])
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range processes {
		command, err := os.ReadFile(file)
		if err == nil && (strings.Contains(string(command), p.State) || strings.Contains(string(command), runDir)) {
			left = append(left, "process "+filepath.Base(filepath.Dir(file)))
		}
	}
	return left
}

// cgroups lists the cluster's cgroups, the innermost first.
func cgroups() (found []string) {
	roots, _ := filepath.Glob("/sys/fs/cgroup/*/" + Name)
	if _, err := os.Stat("/sys/fs/cgroup/" + Name); err == nil {
		roots = append(roots, "/sys/fs/cgroup/"+Name)
	}
	for _, root := range roots {
		var dirs []string
		_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			found = append(found, dirs[i])
		}
	}
	return found
}

func removeCgroups() {
	for _, dir := range cgroups() {
		_ = unix.Rmdir(dir) // Tried again until Stop's time is over.
	}
}
