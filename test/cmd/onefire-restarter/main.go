// Command onefire-restarter is an example of a controller that repairs: it restarts
// the Deployments that RemediationRequests name. See docs/controllers.md.
//
//	onefire-restarter [flags]
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/dynamic"

	"onefire/dedup/client"
	"onefire/test/restarter"
)

// callsPerSecond is more than a pass over hundreds of requests makes; the usual limit
// of client-go is 5.
const callsPerSecond = 50

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-restarter:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := restarter.Defaults()
	o.Log = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig files (default: KUBECONFIG, or the pod's service account)")
	flag.StringVar(&o.Namespace, "namespace", o.Namespace, "the namespace of the RemediationRequests (default: all)")
	flag.IntVar(&o.AtOnce, "at-once", o.AtOnce, "how many rollouts may be under way")
	flag.DurationVar(&o.BackOff, "back-off", o.BackOff, "how long a Deployment is left alone after a restart")
	flag.DurationVar(&o.Limit, "limit", o.Limit, "how long a rollout may take until its request has failed")
	flag.DurationVar(&o.Every, "every", o.Every, "the time between two looks at all requests")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("it takes flags alone, and there is %q", flag.Args())
	}
	config, err := client.Load(*kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = callsPerSecond, callsPerSecond
	kube, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	r, err := restarter.New(kube, o)
	if err != nil {
		return err
	}
	o.Log.InfoContext(ctx, "started", "at_once", o.AtOnce, "back_off", o.BackOff.String(), "limit", o.Limit.String())
	r.Run(ctx)
	return nil
}
