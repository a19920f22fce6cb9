// Command onefire-cluster runs a whole Kubernetes with Knative on this
// machine, for the end-to-end tests.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/test/cluster/build"
	"onefire/test/cluster/install"
	"onefire/test/cluster/node"
	"onefire/test/cluster/paths"
	"onefire/test/cluster/policy"
)

const usage = `usage: onefire-cluster <command>
  build           build or fetch all that a cluster needs, into bin/cluster
  up              build, start, and install Knative and Onefire
  down            end it all, and check that nothing remains
  exec <program>  run a program inside the cluster's network, with KUBECONFIG set
  upgrade <from>  on a cluster that is up, upgrade from a tag or commit of this repository
  release         on a cluster that is up, install from the files that make release made without REPO
  e2e [flags]     run the end-to-end tests on a cluster that is up; flags are go test's, as -test.run=…
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && slices.Contains([]string{"exec", "e2e"}, os.Args[1]) {
		os.Exit(exit.ExitCode()) // The command has said why.
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	p, err := paths.Find(dir)
	if err != nil {
		return err
	}
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch {
	case command == "build":
		return build.All(ctx, p)
	case command == "up":
		return up(ctx, p)
	case command == "install":
		return install.All(ctx, p)
	case command == "down":
		return node.Stop(ctx, p)
	case command == "e2e":
		return e2e(ctx, p, "", args[1:])
	case command == "upgrade" && len(args) == 2:
		if err := errors.Join(build.Helm(ctx, p), build.Before(ctx, p, args[1])); err != nil {
			return err
		}
		return e2e(ctx, p, "upgrade", []string{"-test.run=^TestAnUpgrade"})
	case command == "release":
		if err := build.Helm(ctx, p); err != nil {
			return err
		}
		return e2e(ctx, p, "upgrade", []string{"-test.run=^TestAReleaseInstalls$"})
	case command == "init":
		return node.Init(ctx, p)
	case command == "node":
		return node.Run(ctx, p)
	case command == "policies":
		return policies(ctx, p)
	case command == "exec" && len(args) > 1:
		cmd, err := node.Enter(ctx, p, args[1], args[2:]...)
		if err != nil {
			return err
		}
		cmd.Stdin = os.Stdin
		return cmd.Run()
	default:
		fmt.Fprint(os.Stderr, usage)
		return errors.New("no such command")
	}
}

// up builds, starts the node, and installs from the inside.
func up(ctx context.Context, p paths.Paths) error {
	if err := build.All(ctx, p); err != nil {
		return err
	}
	if err := node.Start(ctx, p); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd, err := node.Enter(ctx, p, self, "install")
	if err != nil {
		return err
	}
	return cmd.Run()
}

// e2e builds the tests, with a build tag or none, outside, where modules can be
// fetched, and runs them inside.
func e2e(ctx context.Context, p paths.Paths, tag string, flags []string) error {
	build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", tag, "-o", p.Bin("e2e.test"), "./e2e")
	build.Dir = filepath.Join(p.Repo, "test", "cluster")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the tests: %w", err)
	}
	cmd, err := node.Enter(ctx, p, p.Bin("e2e.test"), append([]string{"-test.v", "-test.timeout=60m"}, flags...)...)
	if err != nil {
		return err
	}
	return cmd.Run()
}

// policies makes NetworkPolicies take effect, as a process of the node.
func policies(ctx context.Context, p paths.Paths) error {
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig())
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return policy.Run(ctx, client)
}
