package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"onefire/test/images"
)

// Options say what is released.
type Options struct {
	// Root is the checkout. It must be a commit, without changes.
	Root string
	// Version is a semantic version with a v, as in v0.2.0. Where a tag of that name is
	// there, it must be of the commit.
	Version string
	// Repository stands before the images' names, as in registry.example/team.
	Repository string
	// Out is the folder for the files: a new one, or an empty one.
	Out string
	// Push tells whether the images are pushed to the repository, too.
	Push bool
	// Say takes a line for each step.
	Say io.Writer
}

// cli is the command that people run on their own machines, and where.
const cli = "onefire"

var desktops = []string{"darwin/amd64", "darwin/arm64"}

// version has no build metadata: an image's tag cannot hold a plus sign.
var version = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z][0-9A-Za-z.-]*)?$`)

// Make makes a release.
func Make(ctx context.Context, o Options) error {
	revision, err := check(ctx, o)
	if err != nil {
		return err
	}
	notes, err := section(o.Root, o.Version, o.Say)
	if err != nil {
		return err
	}
	if err := empty(o.Out); err != nil {
		return err
	}
	f := folder{path: o.Out, time: revision.Time}
	built, err := build(ctx, o, f, revision)
	if err != nil {
		return err
	}
	fmt.Fprintln(o.Say, "writing manifests and chart …")
	if err := writeManifests(o, f, built); err != nil {
		return err
	}
	if err := writeChart(o, f, built); err != nil {
		return err
	}
	if err := f.write("images.txt", imageList(built)); err != nil {
		return err
	}
	if err := f.write("notes.md", notesOf(o, notes, built)); err != nil {
		return err
	}
	return f.sum()
}

// check says what is wrong with the options, before minutes are spent on them.
func check(ctx context.Context, o Options) (images.Revision, error) {
	var none images.Revision
	if !version.MatchString(o.Version) {
		return none, fmt.Errorf("%q is no version: say one as v0.2.0 or v0.2.0-rc.1", o.Version)
	}
	if o.Repository == "" {
		return none, errors.New("say the repository of the images, as registry.example/team")
	}
	revision, err := images.RevisionOf(ctx, o.Root)
	if err != nil {
		return none, err
	}
	if revision.Commit == "" {
		return none, fmt.Errorf("%s is no git repository: a release is of a commit", o.Root)
	}
	changes, err := git(ctx, o.Root, "status", "--porcelain")
	if err != nil {
		return none, fmt.Errorf("git status: %w", err)
	}
	if changes != "" {
		return none, fmt.Errorf("a release is of a commit, and this is not committed:\n%s", changes)
	}
	// There is none, or it is of this commit.
	tagged, err := git(ctx, o.Root, "rev-parse", "--verify", "--quiet", "refs/tags/"+o.Version+"^{commit}")
	if err == nil && tagged != revision.Commit {
		return none, fmt.Errorf("the tag %s is of the commit %s, and this is %s", o.Version, tagged, revision.Commit)
	}
	revision.Version = o.Version
	return revision, nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "git", args...)
	c.Dir = dir
	out, err := c.Output()
	return strings.TrimRight(string(out), "\n"), err
}

// empty makes the folder, and refuses one that has something in it: checksums are of all
// that is there.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of the release: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking into the folder of the release: %w", err)
	}
	if len(there) > 0 {
		return fmt.Errorf("%s is not empty: a release needs a folder of its own", dir)
	}
	return nil
}

// A program is a command that was built.
type program struct {
	name string
	// ref is the image as manifests name it: by digest.
	ref, digest string
	platforms   []platform
}

// A platform is one image of a program, and the file of its SBOM.
type platform struct{ name, ref, sbom string }

// build makes the images of all commands, their SBOMs and the CLI.
func build(ctx context.Context, o Options, f folder, revision images.Revision) ([]program, error) {
	commands, err := filepath.Glob(filepath.Join(o.Root, "function", "cmd", "onefire*"))
	if err != nil {
		return nil, fmt.Errorf("looking for commands: %w", err)
	}
	var all []program
	for _, dir := range commands {
		fmt.Fprintf(o.Say, "building the image of %s …\n", filepath.Base(dir))
		image, err := images.BuildOf(ctx, dir, images.Platforms, revision)
		if err != nil {
			return nil, err
		}
		p, err := save(o, f, image)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
		if o.Push {
			if _, err := image.Push(ctx, o.Repository, o.Version); err != nil {
				return nil, err
			}
		}
		if image.Name != cli {
			continue
		}
		fmt.Fprintf(o.Say, "building %s for macOS …\n", image.Name)
		desktop, err := images.BuildOf(ctx, dir, desktops, revision)
		if err != nil {
			return nil, err
		}
		for _, p := range slices.Concat(image.Platforms, desktop.Platforms) {
			if err := writeCLI(f, p); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// save writes an image as an archive for all platforms, and its SBOMs.
func save(o Options, f folder, image *images.Image) (program, error) {
	p := program{name: image.Name}
	if err := image.Given(); err != nil {
		return p, err
	}
	digest, err := image.Result.Digest()
	if err != nil {
		return p, fmt.Errorf("reading the digest of %s: %w", image.Name, err)
	}
	repository := strings.TrimSuffix(o.Repository, "/") + "/" + image.Name
	p.digest, p.ref = digest.String(), repository+"@"+digest.String()
	work, err := os.MkdirTemp("", "onefire-release-")
	if err != nil {
		return p, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(work)
	archive, err := image.Save(work, repository+":"+o.Version)
	if err != nil {
		return p, err
	}
	if err := f.copy("image-"+image.Name+".tar", archive); err != nil {
		return p, err
	}
	for _, one := range image.Platforms {
		d, err := one.Image.Digest()
		if err != nil {
			return p, fmt.Errorf("reading the digest of %s for %s: %w", image.Name, one.Platform, err)
		}
		sbom := fileName(image.Name, one) + ".spdx.json"
		if err := f.write(sbom, one.SBOM); err != nil {
			return p, err
		}
		p.platforms = append(p.platforms, platform{one.String(), repository + "@" + d.String(), sbom})
	}
	return p, nil
}

// fileName is what stands before the ending of a program's files for a platform.
func fileName(name string, p images.Platform) string {
	return fmt.Sprintf("%s-%s-%s", name, p.OS, p.Architecture)
}

// writeCLI writes the binary with its licences, and the SBOM of a desktop's.
func writeCLI(f folder, p images.Platform) error {
	files, err := p.Files(cli)
	if err != nil {
		return err
	}
	if slices.Contains(desktops, p.String()) {
		if err := f.write(fileName(cli, p)+".spdx.json", p.SBOM); err != nil {
			return err
		}
	}
	return f.archive(fileName(cli, p)+".tar.gz", []file{
		{"LICENSE", 0o644, files.Licence}, {"THIRD-PARTY", 0o644, files.Notices}, {cli, 0o755, files.Program},
	})
}

// imageList is a line for each image: what to sign, to attest or to mirror. The columns
// are its reference, its platform, and the file of its SBOM; an index has no SBOM.
func imageList(all []program) []byte {
	var text strings.Builder
	for _, p := range all {
		fmt.Fprintf(&text, "%s index -\n", p.ref)
		for _, one := range p.platforms {
			fmt.Fprintf(&text, "%s %s %s\n", one.ref, one.name, one.sbom)
		}
	}
	return []byte(text.String())
}
