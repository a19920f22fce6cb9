package e2e

import (
	"bytes"
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"onefire/test/cluster/node"
)

//go:embed fires.yaml
var firesYAML string

const (
	// diskSize is the size of a file system that fills, as the kernel reads it.
	diskSize = "size=1m,mode=1777"
	// full is what is written to such a file system: more than half of it, in bytes.
	full = 700_000
)

// fire is one thing that a rule of exporters.rules is about.
type fire struct{ rule, name string }

// site is a namespace, and what burns in it or bears its name: all of fires.yaml,
// and disks of the node. It goes when the test ends.
type site struct {
	*world
	name string
	// alerts are how many alerts stand on each fire; none where it is out.
	alerts map[fire]int
}

func newSite(w *world) *site {
	w.t.Helper()
	s := &site{w, fresh("fires-"), map[fire]int{}}
	w.t.Cleanup(func() {
		w.kubectl("delete", "namespace", s.name, "--ignore-not-found")
		for _, kind := range []string{"node", "persistentvolume"} {
			w.kubectl("delete", kind, s.name+"-a", s.name+"-b", s.name+"-c", "--ignore-not-found")
		}
	})
	return s
}

// burn makes all of fires.yaml, with volumes that are full.
func (s *site) burn() {
	s.t.Helper()
	for _, name := range []string{"a", "b"} {
		s.mount("claims", name)
		s.fill("claims", name)
		s.alerts[fire{"VolumeFillingUp", name}] = 1
		s.alerts[fire{"AutoscalerMaxedOut", name}] = 1
	}
	for _, name := range []string{"a", "b", "c"} {
		s.alerts[fire{"NodeNotReady", name}] = 1
	}
	s.alerts[fire{"PodCrashLooping", "crashing"}] = 2 // It has two containers.
	s.alerts[fire{"ContainerMemory", "hungry"}] = 1
	text := os.Expand(firesYAML, func(name string) string {
		return map[string]string{"NAME": s.name, "HOST": node.Name, "CLAIMS": s.p.In("claims")}[name]
	})
	cmd := exec.CommandContext(context.Background(), s.p.Bin("kubectl"), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s", out)
}

// burnDisk fills a new disk of the node.
func (s *site) burnDisk(name string) {
	s.t.Helper()
	s.mount("disks", name)
	s.fill("disks", name)
	s.alerts[fire{"FilesystemAlmostFull", name}] = 1
}

// extinguish ends a fire.
func (s *site) extinguish(rule, name string) {
	s.t.Helper()
	switch rule {
	case "NodeNotReady":
		s.kubectl("delete", "node", s.name+"-"+name)
	case "AutoscalerMaxedOut":
		s.kubectl("-n", s.name, "patch", "hpa", name, "--type=merge", "-p", `{"spec":{"maxReplicas":2}}`)
	case "VolumeFillingUp":
		s.empty("claims", name)
	case "FilesystemAlmostFull":
		s.empty("disks", name)
	default:
		s.kubectl("-n", s.name, "delete", "pod", name)
	}
	s.alerts[fire{rule, name}] = 0
}

// disk is the folder of a file system of the node.
func (s *site) disk(folder, name string) string { return s.p.In(folder, s.name+"-"+name) }

// mount gives the node a small file system until the test ends.
func (s *site) mount(folder, name string) {
	s.t.Helper()
	dir := s.disk(folder, name)
	require.NoError(s.t, os.MkdirAll(dir, 0o755))
	require.NoError(s.t, unix.Mount("tmpfs", dir, "tmpfs", 0, diskSize))
	s.t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

func (s *site) fill(folder, name string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.disk(folder, name), "file"), bytes.Repeat([]byte("x"), full), 0o644))
}

func (s *site) empty(folder, name string) {
	s.t.Helper()
	require.NoError(s.t, os.Remove(filepath.Join(s.disk(folder, name), "file")))
}
