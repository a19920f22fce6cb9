// Command onefire-source turns Alertmanager's webhook into CloudEvents. With the argument
// version it prints its version.
//
// On SIGTERM or SIGINT it finishes the running deliveries, within the time of one
// delivery, and exits.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"onefire/config"
	"onefire/function/cmd/help"
	"onefire/function/receive"
	"onefire/function/source"
	"onefire/function/telemetry"
)

func main() {
	if len(os.Args) > 1 {
		os.Exit(about(os.Args[1:], os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("stopped", "error", err)
		os.Exit(1)
	}
}

const usage = `usage: onefire-source            serve; the environment configures it
       onefire-source version    print the version of this binary
`

// about returns the exit code: 2 for wrong arguments.
func about(args []string, out, problems io.Writer) int {
	if help.Asked(args) {
		fmt.Fprint(out, usage)
		return 0
	}
	err := help.None("version", args[1:])
	if args[0] != "version" {
		err = help.Unknown(args[0])
	}
	if err != nil {
		help.Print(problems, "onefire-source", "", err)
		return 2
	}
	fmt.Fprintln(out, telemetry.About("onefire-source"))
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
