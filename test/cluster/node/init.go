package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"onefire/test/cluster/paths"
)

// Init is the first process of the cluster's namespaces. It arranges mounts
// and addresses, starts `node` of this program, and collects what processes
// leave behind. When it ends, the kernel ends all others. Its code is node's.
func Init(ctx context.Context, p paths.Paths) error {
	if os.Getpid() != 1 {
		return errors.New("init is for the inside of a process namespace: call `up`")
	}
	if err := arrangeMounts(p); err != nil {
		return fmt.Errorf("arrange mounts: %w", err)
	}
	if err := arrangeNetwork(ctx); err != nil {
		return fmt.Errorf("arrange the network: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child, err := syscall.ForkExec(self, []string{self, "node"}, &syscall.ProcAttr{
		Dir: p.Repo, Env: environment(p), Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("wait for processes: %w", err)
		case pid == child:
			return fmt.Errorf("node ended: %v", status)
		}
	}
}

// environment is what all processes of the node get.
func environment(p paths.Paths) []string {
	return []string{
		"PATH=" + p.SearchPath(), "HOME=/root", "KUBECONFIG=" + p.Kubeconfig(), "LD_LIBRARY_PATH=" + p.Libraries(),
	}
}

// arrangeMounts gives the namespace a /proc of its own, empty folders where
// containerd and kubelet insist on writing, and the cluster's names.
func arrangeMounts(p paths.Paths) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to this namespace: %w", err)
	}
	// Kubelet wants what it mounts to be seen in containers.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts inside this namespace: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range []string{"/run", "/var/log"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount an empty %s: %w", dir, err)
		}
	}
	if err := errors.Join(os.MkdirAll(runDir, 0o755), os.MkdirAll(filepath.Dir(cadvisorSocket), 0o755), os.Symlink(ContainerdSocket, cadvisorSocket)); err != nil {
		return err
	}
	files := map[string]string{
		"/etc/hosts":       "127.0.0.1 localhost\n" + Address + " " + Name + "\n",
		"/etc/resolv.conf": "nameserver " + DNSAddress + "\nsearch svc.cluster.local cluster.local\noptions ndots:2\n",
	}
	for name, text := range files {
		file := p.In(filepath.Base(name))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		target, err := filepath.EvalSymlinks(name)
		if err != nil || strings.HasPrefix(target, "/run/") {
			continue // It lies on what is empty now, or is not there: names are then looked up without it.
		}
		if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", name, err)
		}
	}
	return unix.Sethostname([]byte(Name))
}

// arrangeNetwork makes an interface for the node's address. Pods reach each
// other and the node through it; nothing leads outside.
func arrangeNetwork(ctx context.Context) error {
	for _, args := range []string{
		"link set lo up",
		"link add node0 type bridge",
		"addr add " + Address + "/32 dev node0",
		"link set node0 up",
		// There must be a way and a source address before kube-proxy's rules apply.
		"route add " + serviceCIDR + " dev node0 src " + Address,
		"route add default dev node0 src " + Address,
	} {
		if out, err := exec.CommandContext(ctx, "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}
