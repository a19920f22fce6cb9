// Command onefire-image makes images of the commands in folders.
//
//	onefire-image [-out DIR] [-tag TAG] FOLDER…     into a folder, for this machine's processor
//	onefire-image -repo REPOSITORY [-tag TAG] FOLDER…     into a registry, for amd64 and arm64
//
// It prints a line for each: where it is, and its digest.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"onefire/test/images"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, images.BuildTimeout)
	err := run(ctx, os.Args[1:])
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("onefire-image", flag.ContinueOnError)
	repository := flags.String("repo", "", "the `repository` to push to; without it images are saved")
	out := flags.String("out", "bin/images", "the `folder` to save images in")
	tag := flags.String("tag", "", "the images' `tag`; dev when saved, the version when pushed")
	platform := flags.String("platform", "", "the `platforms`, with commas; linux on this machine's processor when saved, linux/amd64,linux/arm64 when pushed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return fmt.Errorf("name the folders of one or more commands")
	}
	standard := "linux/" + runtime.GOARCH
	if *repository != "" {
		standard = strings.Join(images.Platforms, ",")
	}
	if err := images.Prepare(); err != nil {
		return err
	}
	for _, dir := range flags.Args() {
		fmt.Fprintf(os.Stderr, "building the image of %s …\n", dir)
		image, err := images.Build(ctx, dir, strings.Split(cmp.Or(*platform, standard), ","))
		if err != nil {
			return err
		}
		if *repository == "" {
			err = save(image, *out, cmp.Or(*tag, "dev"))
		} else {
			err = push(ctx, image, *repository, *tag, dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func save(image *images.Image, out, tag string) error {
	// Knative asks no registry for the digests of images under dev.local.
	ref := "dev.local/" + image.Name + ":" + tag
	path, err := image.Save(out, ref)
	if err != nil {
		return err
	}
	digest, err := image.Result.Digest()
	if err != nil {
		return fmt.Errorf("reading the digest of %s: %w", ref, err)
	}
	fmt.Printf("%s  %s@%s\n", path, ref, digest)
	return nil
}

func push(ctx context.Context, image *images.Image, repository, tag, dir string) error {
	if tag == "" {
		revision, err := images.RevisionOf(ctx, dir)
		if err != nil {
			return err
		}
		tag = revision.Version
	}
	ref, err := image.Push(ctx, repository, tag)
	if err != nil {
		return err
	}
	fmt.Println(ref)
	return nil
}
