// Command onefire-bench measures the function against the bare limit of the
// Kubernetes API.
//
//	onefire-bench run [flags]        measure, and print a table
//	onefire-bench growth NAME=FILE…   draw reports as lines, as SVG
//	onefire-bench sink ADDR [FILE]   take audit events and keep none, or in a database
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"onefire/test/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "onefire-bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	switch {
	case len(args) > 0 && args[0] == "run":
		return run(ctx, args[1:])
	case len(args) > 1 && args[0] == "growth":
		return growth(args[1:])
	case len(args) == 2 && args[0] == "sink":
		return bench.ServeSink(ctx, args[1], "")
	case len(args) == 3 && args[0] == "sink":
		return bench.ServeSink(ctx, args[1], args[2])
	}
	return fmt.Errorf("usage: onefire-bench run [flags] | growth NAME=FILE… | sink ADDR [FILE]")
}

func run(ctx context.Context, args []string) error {
	o := bench.Options{Sizes: []int{0, 2000, 20_000, 100_000}, Processes: []int{1, 3}, Progress: os.Stderr}
	f := flag.NewFlagSet("onefire-bench run", flag.ContinueOnError)
	f.Func("api", "API server: full (default) or embedded", func(s string) error {
		if o.API = s; s != bench.Full && s != bench.Embedded {
			return fmt.Errorf("not %s or %s", bench.Full, bench.Embedded)
		}
		return nil
	})
	f.Func("sizes", "objects in the namespace (default 0,2000,20000,100000)", list(&o.Sizes, 0))
	f.Func("processes", "function processes (default 1,3)", list(&o.Processes, 1))
	f.IntVar(&o.Workers, "workers", 256, "events under way at once: as many as one pod takes")
	f.IntVar(&o.Rounds, "rounds", 2, "rounds, of which the median counts; one in a namespace of 100,000 objects")
	f.Float64Var(&o.Seconds, "seconds", 3, "seconds of one measurement at most")
	f.Func("only", "a regular expression for the names of scenarios (default: all)", func(s string) (err error) {
		o.Only, err = regexp.Compile(s)
		return err
	})
	f.BoolVar(&o.Store, "store", false, "have DataStorage take the audit events, and not a sink that keeps none")
	asJSON := f.String("json", "", "a file for all rounds")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.API == "" {
		o.API = bench.Full
	}
	if f.NArg() > 0 || o.Rounds < 1 || o.Workers < 1 || o.Seconds <= 0 {
		return fmt.Errorf("rounds, workers and seconds must be positive, and there are no arguments: %q", f.Args())
	}
	var err error
	if o.Self, err = os.Executable(); err != nil {
		return fmt.Errorf("finding this binary: %w", err)
	}
	raw, err := bench.Run(ctx, o)
	r := bench.NewReport(o, raw)
	// The measurements before a failure are worth keeping.
	return errors.Join(err, r.Text(os.Stdout), save(r, *asJSON))
}

func growth(args []string) error {
	var names []string
	var reports []bench.Report
	for _, arg := range args {
		name, path, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q is no NAME=FILE", arg)
		}
		r, err := bench.ReadReport(path)
		if err != nil {
			return err
		}
		names, reports = append(names, name), append(reports, r)
	}
	return bench.Growth(os.Stdout, names, reports)
}

// list reads numbers that are not below least.
func list(into *[]int, least int) func(string) error {
	return func(s string) error {
		*into = nil
		for part := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(part))
			if err != nil || n < least {
				return fmt.Errorf("%q is no number from %d up", part, least)
			}
			*into = append(*into, n)
		}
		return nil
	}
}

// save writes a report with all rounds to a file; an empty path is none.
func save(r bench.Report, path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("making the report: %w", err)
	}
	return errors.Join(r.JSON(file), file.Close())
}
