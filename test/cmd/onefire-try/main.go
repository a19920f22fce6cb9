// Command onefire-try is what needs no Kubernetes API of its own, and is built quickly.
//
//	onefire-try run FUNCTION SOURCE   Onefire on this machine, in a cluster that is there; it asks first
//	onefire-try alert FILE            post a webhook to what make run started
//
// KUBECONFIG, or CLUSTER with a context, says which cluster. CONFIRM=yes answers the
// question.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"onefire/test/local"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-try:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	s, err := local.FromEnvironment()
	if err != nil {
		return err
	}
	switch {
	case len(args) == 3 && args[0] == "run":
		given, err := local.Find(s)
		if err != nil {
			return err
		}
		if err := given.Confirm(ctx, s, os.Stdin, os.Stderr); err != nil {
			return err
		}
		b := local.Binaries{Function: args[1], Source: args[2]}
		return local.Run(ctx, s, b, given.Open, func() { fmt.Println(local.Banner(s, b)) })
	case len(args) == 2 && args[0] == "alert":
		return local.Alert(ctx, s, args[1], os.Stdout)
	}
	return fmt.Errorf("usage: onefire-try run FUNCTION SOURCE | alert FILE")
}
