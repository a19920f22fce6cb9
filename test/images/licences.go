package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// Allowed are the licences, as SPDX names them, that what is in an image may
// have, and what each of them asks of who gives it on. All of that is done by
// the file that [Build] puts into images.
var Allowed = map[string]string{
	"Apache-2.0":   "its text, and the NOTICE",
	"BSD-2-Clause": "its text",
	"BSD-3-Clause": "its text",
	"ISC":          "its text",
	"MIT":          "its text",
	"MPL-2.0":      "its text, and where the source is; files that are changed stay under it, and none is",
}

// minCoverage is how much of a licence file must be licences that are known, in
// percent: the rest are names and years. A file that holds an unknown licence
// beside a known one has less.
const minCoverage = 75

// Dependency is a module that is in a command, or Go itself.
type Dependency struct {
	// Module is its path with the version; "go" with that of Go.
	Module string
	// Licences are the SPDX names of all that is in it.
	Licences []string
	// Texts are its licences and notices, by file name.
	Texts map[string]string
}

var (
	licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([.-].*)?$`)
	noticeFile  = regexp.MustCompile(`(?i)^(notice|patents)([.-].*)?$`)
)

// Dependencies lists what is linked into the command in a folder, for all
// platforms together, by name. One without a licence has no Licences.
func Dependencies(ctx context.Context, dir string, platforms []string) ([]Dependency, error) {
	found := map[string]*Dependency{}
	for _, platform := range platforms {
		goos, goarch, _ := strings.Cut(platform, "/")
		packages, err := linked(ctx, dir, goos, goarch)
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			root, name := p.Module.Dir, p.Module.Path+" "+p.Module.Version
			switch {
			case p.Standard:
				continue
			case p.Module.Main, p.Module.Replace != nil && strings.HasPrefix(p.Module.Replace.Path, "."):
				continue // The repository's own licence goes along by itself.
			case p.Module.Replace != nil:
				return nil, fmt.Errorf("%s is replaced: whose licence that is cannot be told", p.Module.Path)
			}
			if err := collect(found, name, root, p.Dir); err != nil {
				return nil, err
			}
		}
	}
	root, version, err := goroot(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := collect(found, "go "+version, root, root); err != nil {
		return nil, err
	}
	var all []Dependency
	for _, d := range found {
		slices.Sort(d.Licences)
		d.Licences = slices.Compact(d.Licences)
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b Dependency) int { return strings.Compare(a.Module, b.Module) })
	return all, nil
}

// Check says what is in the way of giving dependencies on; nil for nothing.
func Check(all []Dependency) error {
	var problems []error
	for _, d := range all {
		if len(d.Licences) == 0 {
			problems = append(problems, fmt.Errorf("%s: no licence is known of it", d.Module))
		}
		for _, l := range d.Licences {
			if Allowed[l] == "" {
				problems = append(problems, fmt.Errorf("%s: its licence %s is not allowed (test/images/licences.go)", d.Module, l))
			}
		}
	}
	return errors.Join(problems...)
}

// head says where sources are, as the MPL asks for, that of the root
// certificates too.
const head = `What others wrote that is in this image, and under which licences. The source of
each module is at https://proxy.golang.org/MODULE/@v/VERSION.zip, unchanged.

The root certificates are Mozilla's (https://wiki.mozilla.org/CA), under the
Mozilla Public License 2.0 (https://www.mozilla.org/MPL/2.0/), as
golang.org/x/crypto/x509roots/fallback publishes them.
`

// Notice is the text that goes along: each licence once, with what it is of.
func Notice(all []Dependency) []byte {
	of := map[string][]string{}
	for _, d := range all {
		for file, text := range d.Texts {
			of[text] = append(of[text], d.Module+" ("+file+")")
		}
	}
	texts := make([]string, 0, len(of))
	for text := range of {
		slices.Sort(of[text])
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, b string) int { return strings.Compare(of[a][0], of[b][0]) })
	var out bytes.Buffer
	fmt.Fprint(&out, head)
	for _, text := range texts {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(of[text], "\n"), strings.TrimSpace(text))
	}
	return out.Bytes()
}

// collect reads the licences of a package: those in its folder and above it, up
// to its module's.
func collect(found map[string]*Dependency, name, root, dir string) error {
	d := found[name]
	if d == nil {
		d = &Dependency{Module: name, Texts: map[string]string{}}
		found[name] = d
	}
	for ; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("looking for licences: %w", err)
		}
		for _, e := range entries {
			isLicence := licenceFile.MatchString(e.Name())
			if !e.Type().IsRegular() || strings.HasSuffix(e.Name(), ".go") || !isLicence && !noticeFile.MatchString(e.Name()) {
				continue
			}
			path := filepath.Join(dir, e.Name())
			file, err := filepath.Rel(root, path)
			if err != nil {
				return fmt.Errorf("looking for licences: %w", err)
			}
			if _, known := d.Texts[filepath.ToSlash(file)]; known {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("reading a licence: %w", err)
			}
			d.Texts[filepath.ToSlash(file)] = string(text)
			if isLicence {
				d.Licences = append(d.Licences, identify(text)...)
			}
		}
		if dir == root || len(dir) <= len(root) {
			return nil
		}
	}
}

// own is the licence of the repository that a module lies in.
func own(dir string) ([]byte, error) {
	for {
		text, err := os.ReadFile(filepath.Join(dir, "LICENSE"))
		if up := filepath.Dir(dir); err != nil && up != dir {
			dir = up
			continue
		}
		return text, err
	}
}

// identify names the licences in a text.
func identify(text []byte) []string {
	scan := licensecheck.Scan(text)
	if scan.Percent < minCoverage {
		return []string{"unknown"}
	}
	var names []string
	for _, m := range scan.Match {
		names = append(names, m.ID)
	}
	return names
}

// listed is what `go list` says of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path string }
	}
}

// linked lists the packages that a command is made of.
func linked(ctx context.Context, dir, goos, goarch string) ([]listed, error) {
	out, err := run(ctx, dir, []string{"GOOS=" + goos, "GOARCH=" + goarch}, "list", "-deps", "-json=Dir,Standard,Module", ".")
	if err != nil {
		return nil, err
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("reading what go list says of %s: %w", dir, err)
		}
		all = append(all, p)
	}
}

func goroot(ctx context.Context, dir string) (root, version string, err error) {
	out, err := run(ctx, dir, nil, "env", "GOROOT", "GOVERSION")
	if err != nil {
		return "", "", err
	}
	root, version, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return root, version, nil
}

// run runs the go command as the images are built: without cgo and workspace.
func run(ctx context.Context, dir string, environment []string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir = dir
	c.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS="), environment...)
	out, err := c.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, fmt.Errorf("go %s in %s: %s", args[0], dir, exit.Stderr)
	case err != nil:
		return nil, fmt.Errorf("go %s in %s: %w", args[0], dir, err)
	}
	return out, nil
}
