// Command onefire-deadletters keeps the events that the function did not take,
// and gives them to it again. Without arguments it serves until SIGTERM or
// SIGINT, and then answers what is under way, at most 30 s.
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

// run returns the exit code: 1 when something could not be done, 2 when it was
// not said well.
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

// report is one line: JSON from the server, text to who typed a command.
func report(args []string, err error) {
	if len(args) == 0 {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("stopped", "error", err)
		return
	}
	fmt.Fprintf(os.Stderr, "onefire-deadletters: %v\n", err)
}
