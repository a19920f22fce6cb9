// Command onefire-collector takes OTLP over HTTP, and prints the traces that
// came as trees once nothing has come for a while, and at the end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"onefire/test/observability/collector"
)

const (
	// stopTimeout bounds the answers to what is under way at the end.
	stopTimeout = 5 * time.Second
	// defaultQuiet is longer than the 5 s after which spans are sent on their
	// own, so that a trace of several services is printed whole.
	defaultQuiet = 6 * time.Second
)

func main() {
	listen := flag.String("listen", "127.0.0.1:4318", "where to listen")
	quiet := flag.Duration("quiet", defaultQuiet, "print traces once nothing has come for so long")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *listen, *quiet)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-collector:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string, quiet time.Duration) error {
	came := make(chan struct{}, 1)
	c, err := collector.Start(ctx, listen, func() {
		select {
		case came <- struct{}{}:
		default: // It is known already.
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "listening on %s: OTEL_EXPORTER_OTLP_ENDPOINT=http://%s\n", listen, listen)
	var spans, metrics int
	show := func() {
		traces, numbers := c.Take()
		collector.Tree(os.Stdout, traces)
		spans, metrics = spans+len(traces), metrics+len(numbers)
	}
	var pause <-chan time.Time
	for {
		select {
		case <-came:
			pause = time.After(quiet)
		case <-pause:
			show()
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			err := c.Stop(ctx)
			show()
			fmt.Fprintf(os.Stderr, "%d exports of spans, %d of metrics\n", spans, metrics)
			return err
		}
	}
}
