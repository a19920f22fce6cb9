// Command onefire-local runs Onefire on one machine, with a Kubernetes API of its own.
//
//	onefire-local run FUNCTION [SOURCE]   all of it, with these binaries
//	onefire-local kube                    the Kubernetes API alone
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"onefire/test/local"
	"onefire/test/local/embedded"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-local:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	s, err := local.FromEnvironment()
	if err != nil {
		return err
	}
	switch {
	case (len(args) == 2 || len(args) == 3) && args[0] == "run":
		b := local.Binaries{Function: args[1], Kube: true}
		if len(args) == 3 {
			b.Source = args[2]
		}
		return local.Run(ctx, s, b, embedded.Open, func() { fmt.Println(local.Banner(s, b)) })
	case len(args) == 1 && args[0] == "kube":
		release, err := local.Hold(s)
		if err != nil {
			return err
		}
		defer release()
		kube, err := embedded.Open(ctx, s)
		if err != nil {
			return err
		}
		defer kube.Stop()
		fmt.Println("ready")
		select {
		case <-ctx.Done():
			return nil
		case err := <-kube.Done:
			return fmt.Errorf("the Kubernetes API ended: %w", err)
		}
	}
	return fmt.Errorf("usage: onefire-local run FUNCTION [SOURCE] | kube")
}
