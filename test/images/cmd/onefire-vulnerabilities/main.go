// Command onefire-vulnerabilities asks govulncheck which known vulnerabilities
// the modules in folders call. It fails on each that has no reason in a list.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-vulnerabilities:", err)
		os.Exit(1)
	}
}

// run checks one module after the other, and reports all of them before it
// fails.
func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("onefire-vulnerabilities", flag.ContinueOnError)
	govulncheck := flags.String("govulncheck", "govulncheck", "the program")
	database := flags.String("db", "https://vuln.go.dev", "the database: an URL, or file:///FOLDER")
	root := flags.String("root", ".", "the folder that modules are named from")
	list := flags.String("list", "", "the file of vulnerabilities that have a reason")
	if err := flags.Parse(args); err != nil {
		return err
	}
	modules := flags.Args()
	text, err := os.ReadFile(*list)
	if err != nil {
		return fmt.Errorf("reading the list of reasons (-list): %w", err)
	}
	reasons, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", *list, err)
	}
	var failed []string
	for _, module := range modules {
		found, err := check(ctx, *govulncheck, *database, *root, module)
		if err != nil {
			return fmt.Errorf("%s was not checked: %w", module, err)
		}
		if !report(out, module, found, reasons[module]) {
			failed = append(failed, module)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s: update what is vulnerable, or write the reason why it stays into %s", strings.Join(failed, ", "), *list)
	}
	return nil
}

// check returns the vulnerabilities that a module calls, by ID: in its
// packages, their tests, and the tools that its go.mod names.
func check(ctx context.Context, govulncheck, database, root, module string) (map[string]finding, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	dir := module
	if !strings.HasPrefix(dir, "/") {
		dir = root + "/" + module
	}
	var patterns []string
	for _, pattern := range []string{"./...", "tool"} {
		packages, err := output(ctx, dir, "go", "list", pattern)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(packages) != "" {
			patterns = append(patterns, pattern)
		}
	}
	if len(patterns) == 0 {
		return nil, errors.New("it has neither packages nor tools")
	}
	answer, err := output(ctx, dir, govulncheck, append([]string{"-format", "json", "-test", "-db", database}, patterns...)...)
	if err != nil {
		return nil, err
	}
	return read(strings.NewReader(answer))
}

// output runs a program in a folder, and returns what it wrote. Its error has
// what the program complained of.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	var out, complaint strings.Builder
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("running %s %s in %s: %w\n%s", name, strings.Join(args, " "), dir, err, complaint.String())
	}
	return out.String(), nil
}
