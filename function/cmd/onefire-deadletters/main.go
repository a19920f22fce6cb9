// Command onefire-deadletters keeps the events that the function did not accept, and
// replays them. Without arguments it serves until SIGTERM or SIGINT. It then finishes the
// running requests, within 30 s, and exits.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"onefire/config"
	"onefire/function/cmd/help"
	"onefire/function/deadletters"
	"onefire/function/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code: 1 for a failure, 2 for wrong arguments.
func run(ctx context.Context, args []string, out, notes io.Writer) int {
	switch {
	case len(args) == 1 && args[0] == "version":
		fmt.Fprintln(out, telemetry.About("onefire-deadletters"))
		return 0
	case help.Asked(args), len(args) > 1 && help.Asked(args[1:]):
		fmt.Fprint(out, deadletters.Usage)
		return 0
	}
	c, err := config.LoadDeadLetters(config.Environment())
	if err != nil {
		report(args, notes, err)
		return 2
	}
	err = deadletters.Run(ctx, c, args, out, notes)
	var wrong help.Error
	switch {
	case errors.As(err, &wrong):
		help.Print(notes, "onefire-deadletters", "", wrong)
		return 2
	case err != nil:
		report(args, notes, err)
		return 1
	}
	return 0
}

// report prints an error in one line: JSON from the server, text from a command.
func report(args []string, notes io.Writer, err error) {
	if len(args) == 0 {
		slog.New(slog.NewJSONHandler(notes, nil)).Error("stopped", "error", err)
		return
	}
	fmt.Fprintf(notes, "onefire-deadletters: %v\n", err)
}
