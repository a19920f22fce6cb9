// Command onefire-release makes the files of a release of a commit.
//
//	onefire-release -version v1.2.3 -repo REPOSITORY [-out DIR] [-push] [CHECKOUT]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"onefire/test/images"
	"onefire/test/images/release"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, images.BuildTimeout)
	err := run(ctx, os.Args[1:])
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o := release.Options{Root: ".", Say: os.Stderr}
	flags := flag.NewFlagSet("onefire-release", flag.ContinueOnError)
	flags.StringVar(&o.Version, "version", "", "the `version`, as v1.2.3")
	flags.StringVar(&o.Repository, "repo", "", "the `repository` that the images are pulled from, as registry.example/team")
	flags.StringVar(&o.Out, "out", "bin/release", "the `folder` for the files, which must be empty")
	flags.BoolVar(&o.Push, "push", false, "push the images, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch flags.NArg() {
	case 0:
	case 1:
		o.Root = flags.Arg(0)
	default:
		return fmt.Errorf("name one checkout, not %d", flags.NArg())
	}
	if err := images.Prepare(); err != nil {
		return err
	}
	return release.Make(ctx, o)
}
