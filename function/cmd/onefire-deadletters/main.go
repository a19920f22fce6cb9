// Command onefire-deadletters keeps the events that the function did not accept, and
// replays them. Without arguments it serves until SIGTERM or SIGINT. It then finishes the
// running requests, within 30 s, and exits.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"onefire/config"
	"onefire/function/deadletters"
	"onefire/function/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run returns the exit code: 1 for a failure, 2 for wrong arguments.
func run(ctx context.Context, args []string) int {
	if len(args) == 1 && args[0] == "version" {
		fmt.Println(telemetry.About("onefire-deadletters"))
		return 0
	}
	c, err := config.LoadDeadLetters(config.Environment())
	if err != nil {
		report(args, err)
		return 2
	}
	err = deadletters.Run(ctx, c, args, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, deadletters.ErrUsage):
		fmt.Fprint(os.Stderr, deadletters.Usage)
		return 2
	case err != nil:
		report(args, err)
		return 1
	}
	return 0
}

// report prints an error in one line: JSON from the server, text from a command.
func report(args []string, err error) {
	if len(args) == 0 {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("stopped", "error", err)
		return
	}
	fmt.Fprintf(os.Stderr, "onefire-deadletters: %v\n", err)
}
