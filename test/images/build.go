package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/ko/pkg/build"
	"github.com/sigstore/cosign/v3/pkg/oci"
)

// versionVariable is where Onefire's commands keep their version; others have none,
// and the linker leaves it out.
const versionVariable = "onefire/function/telemetry.version"

// koVersion is what SBOMs name as their tool: the version in go.mod.
const koVersion = "v0.19.1"

// Image is an image of a command, for one or more platforms.
type Image struct {
	// Name is the last element of the command's folder.
	Name string
	// Result is a v1.Image for one platform, a v1.ImageIndex for more.
	Result build.Result
	// Platforms are the images for each platform, in the order asked for.
	Platforms []Platform
	// kept says why it may be used here, but not be given on.
	kept error
}

// Platform is an image for one platform.
type Platform struct {
	v1.Platform
	Image v1.Image
	// SBOM lists the Go modules in it, as SPDX in JSON.
	SBOM []byte
}

// command is what `go list` knows of a folder with a command.
type command struct {
	Name, ImportPath, Doc string
	Module                struct{ Dir string }
}

// Build makes an image of the command in a folder, for platforms such as
// linux/amd64. Its version is what git says of the folder.
func Build(ctx context.Context, dir string, platforms []string) (*Image, error) {
	revision, err := RevisionOf(ctx, dir)
	if err != nil {
		return nil, err
	}
	return BuildOf(ctx, dir, platforms, revision)
}

// BuildOf makes an image of the command in a folder, of which somebody says which
// revision it is.
func BuildOf(ctx context.Context, dir string, platforms []string, revision Revision) (*Image, error) {
	c, err := lookUp(ctx, dir)
	if err != nil {
		return nil, err
	}
	all := make([]v1.Platform, len(platforms))
	for i, s := range platforms {
		p, err := v1.ParsePlatform(s)
		if err != nil || p.OS == "" || p.Architecture == "" {
			return nil, fmt.Errorf("%q is no platform: name one as linux/amd64", s)
		}
		all[i] = *p
	}
	dependencies, err := Dependencies(ctx, dir, platforms)
	if err != nil {
		return nil, err
	}
	licence, err := own(c.Module.Dir)
	if err != nil {
		return nil, fmt.Errorf("reading the licence of %s: %w", c.ImportPath, err)
	}
	under, err := base(all, licence, Notice(dependencies))
	if err != nil {
		return nil, err
	}
	builder, err := build.NewGo(ctx, c.Module.Dir, options(c, revision, under, platforms)...)
	if err != nil {
		return nil, fmt.Errorf("setting ko up: %w", err)
	}
	result, err := builder.Build(ctx, build.StrictScheme+c.ImportPath)
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", c.ImportPath, err)
	}
	image := &Image{Name: path.Base(c.ImportPath), Result: result, kept: Check(dependencies)}
	if image.Platforms, err = split(result); err != nil {
		return nil, fmt.Errorf("reading what ko built of %s: %w", c.ImportPath, err)
	}
	return image, nil
}

func lookUp(ctx context.Context, dir string) (command, error) {
	var c command
	list := exec.CommandContext(ctx, "go", "list", "-json=Name,ImportPath,Doc,Module", ".")
	list.Dir = dir
	out, err := list.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return c, fmt.Errorf("go list in %s: %s", dir, exit.Stderr)
	case err != nil:
		return c, fmt.Errorf("go list in %s: %w", dir, err)
	}
	if err := json.Unmarshal(out, &c); err != nil {
		return c, fmt.Errorf("reading what go list says of %s: %w", dir, err)
	}
	if c.Name != "main" {
		return c, fmt.Errorf("%s is no command: its package is %s, not main", filepath.Clean(dir), c.Name)
	}
	return c, nil
}

func options(c command, r Revision, base v1.ImageIndex, platforms []string) []build.Option {
	created := v1.Time{Time: r.Time}
	all := []build.Option{
		build.WithBaseImages(func(context.Context, string) (name.Reference, build.Result, error) {
			return name.MustParseReference("dev.local/base"), base, nil
		}),
		build.WithPlatforms(platforms...),
		build.WithJobs(jobs),
		build.WithTrimpath(true),
		// The log, the metric and `onefire version` say the version. So the
		// binary's layer is another one for each commit.
		build.WithDefaultLdflags([]string{"-s", "-w", "-X", versionVariable + "=" + r.Version}),
		// A user's environment must not change the image.
		build.WithDefaultEnv([]string{"CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOWORK=off"}),
		build.WithUser(User),
		build.WithCreationTime(created),
		build.WithKoDataCreationTime(created),
		build.WithSPDX(koVersion),
	}
	for k, v := range map[string]string{
		"title":       path.Base(c.ImportPath),
		"description": c.Doc,
		"version":     r.Version,
		"revision":    r.Commit,
		"licenses":    "Apache-2.0",
	} {
		if v != "" {
			all = append(all, build.WithLabel("org.opencontainers.image."+k, v))
		}
	}
	return all
}

// split finds the image of each platform in what ko built.
func split(result build.Result) ([]Platform, error) {
	var signed []oci.SignedImage
	switch r := result.(type) {
	case oci.SignedImageIndex:
		manifest, err := r.IndexManifest()
		if err != nil {
			return nil, fmt.Errorf("reading the index: %w", err)
		}
		for _, d := range manifest.Manifests {
			image, err := r.SignedImage(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("reading the image %s: %w", d.Digest, err)
			}
			signed = append(signed, image)
		}
	case oci.SignedImage:
		signed = []oci.SignedImage{r}
	default:
		return nil, fmt.Errorf("%T is neither an image nor an index", result)
	}
	all := make([]Platform, len(signed))
	for i, image := range signed {
		config, err := image.ConfigFile()
		if err != nil {
			return nil, fmt.Errorf("reading a config: %w", err)
		}
		file, err := image.Attachment("sbom")
		if err != nil {
			return nil, fmt.Errorf("reading an SBOM: %w", err)
		}
		spdx, err := file.Payload()
		if err != nil {
			return nil, fmt.Errorf("reading an SBOM: %w", err)
		}
		all[i] = Platform{*config.Platform(), image, spdx}
	}
	return all, nil
}
