// Package install puts Knative and Onefire into a running cluster. It runs
// inside the cluster's namespaces.
package install

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"onefire/test/cluster/node"
	"onefire/test/cluster/paths"
)

//go:embed manifests
var manifests embed.FS

// installer applies manifests with kubectl and says how long that takes.
type installer struct {
	p     paths.Paths
	begin time.Time
}

// All imports images, and installs DNS, the ingress, Knative, Prometheus
// and Alertmanager, DataStorage and Onefire. It returns when all of it is
// available.
func All(ctx context.Context, p paths.Paths) error {
	ctx, cancel := context.WithTimeout(ctx, installWait)
	defer cancel()
	in := &installer{p: p, begin: time.Now()}
	images := make(chan error, 1)
	go func() { images <- in.importImages(ctx) }()
	err := in.knative(ctx)
	if imported := <-images; imported != nil {
		return imported
	}
	if err != nil {
		return err
	}
	if err := in.surroundings(ctx); err != nil {
		return err
	}
	if err := in.available(ctx, "kube-system", "kourier-system", "knative-serving", "knative-eventing"); err != nil {
		return err
	}
	if err := in.onefire(ctx); err != nil {
		return err
	}
	return in.available(ctx, "kubernaut-system", "monitoring", "observability", "onefire")
}

func (in *installer) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.1f s  %s\n", time.Since(in.begin).Seconds(), fmt.Sprintf(format, args...))
}

// importImages gives containerd every image of bin/cluster/images and
// bin/images; the pause image first, for every pod needs it.
func (in *installer) importImages(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(in.p.Images(), "*.tar"))
	if err != nil {
		return err
	}
	ours, err := filepath.Glob(filepath.Join(in.p.Repo, "bin", "images", "*.tar"))
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(importsAtOnce)
	for _, file := range append(files, ours...) {
		all.Go(func() error {
			out, err := exec.CommandContext(ctx, "ctr", "--address", node.ContainerdSocket, "--namespace", "k8s.io", "images", "import", file).CombinedOutput()
			if err != nil {
				return fmt.Errorf("import %s: %w: %s", file, err, out)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	in.say("%d images imported", len(files)+len(ours))
	return nil
}

// kubectl runs kubectl with text as its input.
func (in *installer) kubectl(ctx context.Context, text []byte, args ...string) error {
	cmd := exec.CommandContext(ctx, in.p.Bin("kubectl"), args...)
	cmd.Stdin = bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// apply applies manifests, and tries again while a webhook or a kind that they
// need is not there yet.
func (in *installer) apply(ctx context.Context, what string, text []byte) error {
	err := retry(ctx, func() error {
		return in.kubectl(ctx, text, "apply", "--server-side", "--force-conflicts", "-f", "-")
	})
	if err != nil {
		return fmt.Errorf("apply %s: %w", what, err)
	}
	in.say("%s applied", what)
	return nil
}

// own applies one of the embedded manifests.
func (in *installer) own(ctx context.Context, name string) error {
	text, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return err
	}
	return in.apply(ctx, name, in.expand(text, nil))
}

// available waits for all Deployments of the namespaces.
func (in *installer) available(ctx context.Context, namespaces ...string) error {
	for _, namespace := range namespaces {
		if err := in.kubectl(ctx, nil, "-n", namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout="+installWait.String()); err != nil {
			return err
		}
	}
	in.say("%s available", strings.Join(namespaces, ", "))
	return nil
}

// retry calls try until it succeeds or ctx ends, and returns its last error.
func retry(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		pause := time.NewTimer(retryPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return err
		case <-pause.C:
		}
	}
}
