// Package build makes everything that a cluster consists of: Kubernetes,
// Knative, Prometheus and its exporters from the module proxy, a container
// runtime and Alertmanager from Debian's archive, and images of all that runs in
// pods.
//
// A step that is up to date is not made again. No step touches the machine outside
// of bin/cluster and Go's own caches.
package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onefire/test/cluster/paths"
)

// Knative's programs, by the folders below cmd/ of their modules.
var (
	serving  = []string{"queue", "controller", "webhook", "activator", "autoscaler"}
	eventing = []string{"broker/ingress", "broker/filter", "mtchannel_broker", "controller", "webhook", "jobsink",
		"in_memory/channel_controller", "in_memory/channel_dispatcher", "auth_proxy"}
)

// kubernetes are the programs of the node, and kubectl.
var kubernetes = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}

// prometheusTags leave out how Prometheus finds targets elsewhere than in
// Kubernetes.
const prometheusTags = "remove_all_sd,enable_kubernetes_sd"

// All makes everything, and says how long each step took. It returns an
// error that names the step that failed.
func All(ctx context.Context, p paths.Paths) error {
	version, err := output(ctx, filepath.Join(p.Repo, "test", "kubernetes"), "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	// Knative's components end when the API server does not name a version.
	kubernetesFlags := "-s -w -X k8s.io/component-base/version.gitVersion=" + version
	steps := []struct {
		name string
		do   func() error
	}{
		{"Debian packages", func() error { return debian(ctx, p) }},
		{"etcd", func() error { return goBuild(ctx, p, "test/kubernetes", "bin/", "-s -w", "go.etcd.io/etcd/server/v3") }},
		{"Kubernetes", func() error {
			return goBuild(ctx, p, "test/kubernetes", "bin/", kubernetesFlags, prefixed("k8s.io/kubernetes/cmd/", kubernetes)...)
		}},
		{"Knative Serving", func() error {
			return goBuild(ctx, p, "test/cluster/knative", "serving/", "-s -w", prefixed("knative.dev/serving/cmd/", serving)...)
		}},
		{"Knative Eventing", func() error {
			return goBuild(ctx, p, "test/cluster/knative", "eventing/", "-s -w", prefixed("knative.dev/eventing/cmd/", eventing)...)
		}},
		{"Prometheus", func() error {
			return goBuildTagged(ctx, p, prometheusTags, "test/observability", "bin/", "-s -w", "github.com/prometheus/prometheus/cmd/prometheus")
		}},
		{"exporters", func() error {
			return goBuild(ctx, p, "test/cluster/exporters", "bin/", "-s -w", "k8s.io/kube-state-metrics/v2", "github.com/prometheus/node_exporter")
		}},
		{"Collector", func() error { return goBuild(ctx, p, "test/observability", "bin/", "-s -w", "./cmd/onefire-collector") }},
		{"CoreDNS", func() error { return goBuild(ctx, p, "test/observability", "bin/", "-s -w", "./cmd/dns") }},
		{"ingress", func() error {
			return goBuild(ctx, p, "test/cluster", "bin/", "-s -w", "./cmd/pause", "./cmd/probe", "./cmd/kingress")
		}},
		{"images", func() error { return images(ctx, p) }},
		{"Onefire's images", func() error { return onefire(ctx, p) }},
	}
	for _, step := range steps {
		fmt.Fprintf(os.Stderr, "building %s …\n", step.name)
		begin := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("build %s: %w", step.name, err)
		}
		fmt.Fprintf(os.Stderr, "  %.1f s\n", time.Since(begin).Seconds())
	}
	return nil
}

// goBuild builds static, stripped programs of a module into a folder below
// bin/cluster. Each takes the name of its folder.
func goBuild(ctx context.Context, p paths.Paths, module, into, flags string, packages ...string) error {
	return goBuildTagged(ctx, p, "", module, into, flags, packages...)
}

// goBuildTagged is goBuild with build tags.
func goBuildTagged(ctx context.Context, p paths.Paths, tags, module, into, flags string, packages ...string) error {
	out := filepath.Join(p.Built, into)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	args := append([]string{"build", "-trimpath", "-tags", tags, "-ldflags", flags, "-o", out + "/"}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(p.Repo, module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	// The module's path ends in a version, and its program is known as etcd.
	if old := filepath.Join(out, "server"); slices.Contains(packages, "go.etcd.io/etcd/server/v3") {
		return os.Rename(old, filepath.Join(out, "etcd"))
	}
	return nil
}

func prefixed(prefix string, names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = prefix + name
	}
	return all
}

// output runs a program and returns what it printed, trimmed.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
