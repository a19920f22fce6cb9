package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"onefire/test/cluster/paths"
)

// packages are what the module proxy does not have in a form that builds
// without a C compiler: a container runtime and kube-proxy's nft; and
// Alertmanager, whose module lacks its pages.
var packages = []string{"containerd", "runc", "containernetworking-plugins", "nftables", "prometheus-alertmanager"}

// debian downloads and unpacks the packages with whatever they need and the
// machine does not have. Nothing is installed.
func debian(ctx context.Context, p paths.Paths) error {
	if _, err := os.Stat(p.Debian("complete")); err == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this needs Debian or Ubuntu: %w", err)
	}
	archives := filepath.Join(p.Built, "archives")
	if err := errors.Join(os.RemoveAll(p.Debian("")), os.MkdirAll(p.Debian(""), 0o755), os.MkdirAll(filepath.Join(archives, "partial"), 0o755)); err != nil {
		return err
	}
	args := append([]string{"install", "-qq", "--download-only", "--no-install-recommends", "--reinstall", "-y",
		"-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-o", "Dir::Cache::archives=" + archives}, packages...)
	for _, command := range []*exec.Cmd{
		exec.CommandContext(ctx, "apt-get", "update", "-qq"),
		exec.CommandContext(ctx, "apt-get", args...),
	} {
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	files, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if out, err := exec.CommandContext(ctx, "dpkg", "-x", file, p.Debian("")).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w: %s", file, err, out)
		}
	}
	// Examples in Go would be taken for packages of the repository.
	if err := os.RemoveAll(p.Debian("usr/share/doc")); err != nil {
		return err
	}
	return os.WriteFile(p.Debian("complete"), nil, 0o644)
}
