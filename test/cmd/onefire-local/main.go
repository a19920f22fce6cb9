// Command onefire-local runs Onefire on one machine.
//
//	onefire-local run FUNCTION [SOURCE]   all of it, with these binaries
//	onefire-local kube                    the Kubernetes API alone
//	onefire-local alert FILE              post a webhook to what run started
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
		b := local.Binaries{Function: args[1]}
		if len(args) == 3 {
			b.Source = args[2]
		}
		return local.Run(ctx, s, b, func() { fmt.Println(banner(s, b)) })
	case len(args) == 1 && args[0] == "kube":
		release, err := local.Hold(s)
		if err != nil {
			return err
		}
		defer release()
		kube, err := local.Kube(ctx, s)
		if err != nil {
			return err
		}
		defer kube.Stop()
		fmt.Println("ready")
		select {
		case <-ctx.Done():
			return nil
		case err := <-kube.Done():
			return fmt.Errorf("the Kubernetes API ended: %w", err)
		}
	case len(args) == 2 && args[0] == "alert":
		return local.Alert(ctx, s, args[1], os.Stdout)
	}
	return fmt.Errorf("usage: onefire-local run FUNCTION [SOURCE] | kube | alert FILE")
}

func banner(s local.Settings, b local.Binaries) string {
	source := ""
	if b.Source != "" {
		source = "Alertmanager's webhook to " + s.SourceURL() + ", "
	}
	return fmt.Sprintf("ready: %sfunction http://%s, DataStorage %s, objects with KUBECONFIG=%s kubectl get rr",
		source, s.FunctionAddr, s.AuditURL(), s.Kubeconfig())
}
