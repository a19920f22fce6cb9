// Command onefire-licences lists what is linked into the commands in folders,
// and under which licences. It fails when one of them is not allowed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"onefire/test/images"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-licences:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dirs []string) error {
	if len(dirs) == 0 {
		return errors.New("name the folders of one or more commands")
	}
	all := map[string]images.Dependency{}
	var names []string
	for _, dir := range dirs {
		some, err := images.Dependencies(ctx, dir, images.Platforms)
		if err != nil {
			return err
		}
		for _, d := range some {
			if _, known := all[d.Module]; !known {
				names = append(names, d.Module)
			}
			all[d.Module] = d
		}
	}
	var list []images.Dependency
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, name := range names {
		list = append(list, all[name])
		fmt.Fprintf(out, "%s\t%s\n", name, strings.Join(all[name].Licences, " "))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	if err := images.Check(list); err != nil {
		return err
	}
	fmt.Printf("%d modules, all under licences that are allowed\n", len(list))
	return nil
}
