// Command onefire-source turns Alertmanager's webhook into CloudEvents. With the argument
// version it prints its version.
//
// On SIGTERM or SIGINT it finishes the running deliveries, within the time of one
// delivery, and exits.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"onefire/config"
	"onefire/function/receive"
	"onefire/function/source"
	"onefire/function/telemetry"
)

func main() {
	if len(os.Args) > 1 {
		os.Exit(about(os.Args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("stopped", "error", err)
		os.Exit(1)
	}
}

// about returns the exit code: 2 for any argument other than version.
func about(args []string) int {
	if len(args) != 1 || args[0] != "version" {
		fmt.Fprintln(os.Stderr, "usage: onefire-source [version]; the environment configures everything else")
		return 2
	}
	fmt.Println(telemetry.About("onefire-source"))
	return 0
}

func run(ctx context.Context) error {
	c, err := config.LoadSource(config.Environment())
	if err != nil {
		return err
	}
	receive.Memory{Told: c.MemoryLimit}.Tune()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.ListenAddress)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDRESS: %w", err)
	}
	s, err := source.New(ctx, c, os.Stderr)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.DeliveryTimeout+source.StopGrace)
	defer cancel()
	return s.Stop(ctx)
}
