// Package cmd has the commands of the function's binary: it lists requests, explains what
// would become of alerts, prints the configuration, and deletes what is old. None of this
// runs while the binary serves. The folders below are the three programs, and
// package help, which they share.
//
// A prune deletes RemediationRequests that ended, and dead letters that nobody replayed.
// It is safe beside running functions, replays and other prunes. Each delete names the
// revision that was read, so an object that has changed since stays. Package dedup
// decides which requests may be deleted, and why that disturbs no handler: see
// dedup.Past. A prune reads in pages and holds one at a time. Its calls are limited in
// rate, each call has a deadline, and the whole run has one. A run that ends early does
// no harm, and the next one goes on.
package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"onefire/config"
	"onefire/function/cmd/help"
	"onefire/function/telemetry"
)

const usage = `usage: onefire                                 serve; the environment configures it
       onefire list [-n NAMESPACE|-A] [flags]  list the requests that are open, the newest first (-h lists the flags)
       onefire explain [flags] FILE|-          print what would become of the alerts in a webhook or CloudEvent
       onefire explain -prometheus URL [flags] print what would have become of the alerts that fired there (-h lists the flags)
       onefire config [-o json]                print the effective configuration
       onefire prune [-dry-run]                delete ended requests and dead letters that are old
       onefire version                         print the version of this binary
`

// Streams are a command's standard input, output and error.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs a command and returns its exit code: 0 for success; 1 if something is wrong
// with the input; 2 for wrong arguments; 3 if -fail was given and there are findings.
func Main(ctx context.Context, args []string, environment map[string]string, s Streams) int {
	commands := map[string]func(context.Context, []string, map[string]string, Streams) error{
		"explain": explain,
		"config":  settings,
		"list":    listed,
		"prune":   pruned,
		"version": version,
	}
	if help.Asked(args) {
		fmt.Fprint(s.Out, usage)
		return 0
	}
	command, ok := commands[args[0]]
	if !ok {
		help.Print(s.Err, "onefire", "", help.Unknown(args[0]))
		return 2
	}
	var wrong help.Error
	switch err := command(ctx, args[1:], environment, s); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		help.Print(s.Err, "onefire", args[0], wrong)
		return 2
	case errors.Is(err, errFindings):
		return 3
	case err != nil:
		fmt.Fprintln(s.Err, "onefire:", err)
		return 1
	}
	return 0
}

// output prints results: as JSON, or else as text for people.
type output struct{ format string }

// flags makes a command's flags, including -o. more are the command's formats beside text
// and JSON.
func flags(command string, more ...string) (*flag.FlagSet, *output) {
	o := &output{}
	f := flag.NewFlagSet("onefire "+command, flag.ContinueOnError)
	formats := append([]string{"text", "json"}, more...)
	f.Func("o", fmt.Sprintf("output `format`: %s (default text)", strings.Join(formats, " or ")), func(format string) error {
		if !slices.Contains(formats, format) {
			return fmt.Errorf("use %s", strings.Join(formats, " or "))
		}
		o.format = format
		return nil
	})
	return f, o
}

// parseFlags parses a command's flags. If the arguments ask for help, it prints the flags
// and returns [flag.ErrHelp].
func parseFlags(f *flag.FlagSet, args []string, s Streams) error {
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(s.Out)
		f.Usage()
		return err
	case err != nil:
		return help.Error(err.Error())
	}
	return nil
}

// onlyFlags is parseFlags for a command that takes no other arguments.
func onlyFlags(f *flag.FlagSet, args []string, s Streams) error {
	if err := parseFlags(f, args, s); err != nil {
		return err
	}
	return help.None(strings.TrimPrefix(f.Name(), "onefire "), f.Args())
}

// print writes a value as JSON, or as a table.
func (o output) print(out io.Writer, value any, table func(w io.Writer)) error {
	if o.format == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(value)
	}
	w := tabwriter.NewWriter(out, 0, 0, columnGap, ' ', 0)
	table(w)
	return w.Flush()
}

// settings prints the effective configuration, and then what is wrong with it.
func settings(_ context.Context, args []string, environment map[string]string, s Streams) error {
	f, o := flags("config")
	if err := onlyFlags(f, args, s); err != nil {
		return err
	}
	all, problem := config.Effective(environment)
	err := o.print(s.Out, all, func(w io.Writer) {
		fmt.Fprintln(w, "VARIABLE\tVALUE\tFROM")
		for _, one := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\n", one.Name, printable(dash(one.Value)), dash(one.From))
		}
	})
	return errors.Join(err, problem)
}

// version prints the binary's version.
func version(_ context.Context, args []string, _ map[string]string, s Streams) error {
	if err := onlyFlags(flag.NewFlagSet("onefire version", flag.ContinueOnError), args, s); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.Out, telemetry.About("onefire"))
	return err
}

// pruned deletes what is old, or prints what it would delete.
func pruned(ctx context.Context, args []string, environment map[string]string, s Streams) error {
	f := flag.NewFlagSet("onefire prune", flag.ContinueOnError)
	dry := f.Bool("dry-run", false, "say what would be deleted, and delete nothing")
	if err := onlyFlags(f, args, s); err != nil {
		return err
	}
	c, err := config.LoadPrune(environment)
	if err != nil {
		return err
	}
	kube, own, err := connect(c.Kubeconfig)
	if err != nil {
		return err
	}
	if !config.NamespaceSet(environment) {
		c.Namespace = own
	}
	return Prune(ctx, kube, c, PruneOptions{DryRun: *dry, Log: s.Out, Notes: s.Err})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
