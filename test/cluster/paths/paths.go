// Package paths says where the cluster's parts lie, all of them inside the
// repository: what was built is kept, what ran is thrown away.
package paths

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Paths are absolute folders and files.
type Paths struct {
	// Repo is the root of the repository.
	Repo string
	// Built holds programs, unpacked Debian packages and images. It outlives
	// the cluster.
	Built string
	// State holds everything that a running cluster writes. It is removed
	// when the cluster is taken down.
	State string
}

// maxSocketPath is the longest path of a Unix socket, in bytes: sun_path
// has 108, the last of them a zero.
const maxSocketPath = 107

// Find looks for the repository from dir upwards. It returns an error that
// names dir when there is none, or when its path is too long for sockets.
func Find(dir string) (Paths, error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "func.yaml")); err == nil {
			p := Paths{Repo: d, Built: filepath.Join(d, "bin", "cluster"), State: filepath.Join(d, ".local", "cluster")}
			if n := len(p.Control()); n > maxSocketPath {
				return Paths{}, fmt.Errorf("the path of %s has %d bytes, a socket's may have %d: move the repository up", p.Control(), n, maxSocketPath)
			}
			return p, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return Paths{}, err
		}
		if d == filepath.Dir(d) {
			return Paths{}, fmt.Errorf("no func.yaml in %s or above it: start this inside the repository", dir)
		}
	}
}

// Bin is a program that was built.
func (p Paths) Bin(name string) string { return filepath.Join(p.Built, "bin", name) }

// Debian is a file of an unpacked Debian package, by its installed path.
func (p Paths) Debian(name string) string { return filepath.Join(p.Built, "debian", name) }

// Before is an earlier version of the repository, which is upgraded from.
func (p Paths) Before() string { return filepath.Join(p.Built, "before") }

// Images is the folder of image archives that are imported at every start.
func (p Paths) Images() string { return filepath.Join(p.Built, "images") }

// In is a file of a running cluster.
func (p Paths) In(name ...string) string { return filepath.Join(append([]string{p.State}, name...)...) }

// Log is the folder of all logs: one file for each process of the node.
func (p Paths) Log() string { return p.In("log") }

// Kubeconfig is the administrator's, good inside the cluster's network
// namespace.
func (p Paths) Kubeconfig() string { return p.In("kubeconfig") }

// Control is the node's Unix socket, where its processes are stopped and
// started again.
func (p Paths) Control() string { return p.In("control.sock") }

// PID is the file that holds the process id of the cluster's first process.
func (p Paths) PID() string { return p.In("pid") }

// SearchPath is PATH with what was built before what the machine has.
func (p Paths) SearchPath() string {
	return strings.Join([]string{filepath.Join(p.Built, "bin"), p.Debian("usr/bin"), p.Debian("usr/sbin"), os.Getenv("PATH"), "/usr/sbin:/sbin"}, ":")
}

// Libraries is the search path for shared libraries of the Debian packages,
// empty when none were needed.
func (p Paths) Libraries() string {
	dirs, _ := filepath.Glob(p.Debian("usr/lib/*-linux-gnu")) // The pattern is well formed.
	return strings.Join(dirs, ":")
}
