package release

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// changelogs is where the changelog may be, the first that is there.
var changelogs = []string{"CHANGELOG.md", "docs/changelog.md"}

// unreleased is the heading of what no version has yet.
const unreleased = "Unreleased"

// headline is a section's: its version with or without brackets, a v, and a date, as Keep
// a Changelog has them.
var headline = regexp.MustCompile(`^## +\[?([^\]\s]+)\]?.*$`)

// section is what the changelog says of a version. Where it does not know the version
// yet, that is what is unreleased, and say is told.
func section(root, version string, say io.Writer) (string, error) {
	var name string
	var text []byte
	err := errors.New("none")
	for _, name = range changelogs {
		if text, err = os.ReadFile(filepath.Join(root, name)); err == nil {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("reading the changelog: %w", err)
	}
	sections := sectionsOf(string(text))
	notes, ok := sections[strings.TrimPrefix(version, "v")]
	if !ok {
		if notes, ok = sections[unreleased]; ok {
			fmt.Fprintf(say, "%s has no section %s: the notes are those of %s\n", name, version, unreleased)
		}
	}
	if notes == "" {
		return "", fmt.Errorf("%s says nothing of %s, nor under %s", name, version, unreleased)
	}
	return notes, nil
}

// sectionsOf are a changelog's sections by their versions, without a v.
func sectionsOf(text string) map[string]string {
	found, version := map[string]string{}, ""
	for line := range strings.Lines(text) {
		if h := headline.FindStringSubmatch(strings.TrimRight(line, "\n")); h != nil {
			version = strings.TrimPrefix(h[1], "v")
			found[version] = ""
			continue
		}
		if version != "" {
			found[version] += line
		}
	}
	for version, body := range found {
		found[version] = strings.TrimSpace(body)
	}
	return found
}

// notesOf are the release's notes: the changelog's section, and how to install it.
func notesOf(o Options, section string, built []program) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\n## Install\n| file | what it installs |\n|---|---|\n", section)
	for _, m := range manifests {
		fmt.Fprintf(&text, "| `kubectl apply -f %s` | %s |\n", m.file(), m.what)
	}
	fmt.Fprintf(&text, "| `helm install onefire %s --namespace onefire --create-namespace --values FILE` | all that can be chosen |\n", chartFile(o.Version))
	fmt.Fprintf(&text, "\n## Images\nEach is for %s, and manifests and chart name these digests:\n\n", strings.Join(platformNames(built), " and "))
	for _, p := range built {
		fmt.Fprintf(&text, "- `%s`\n", p.ref)
	}
	fmt.Fprintf(&text, "\n`image-*.tar` are the same images as OCI archives. `sha256sum --check %s` checks what was downloaded.\n", sums)
	return []byte(text.String())
}

// platformNames are those of the images, which all have the same.
func platformNames(built []program) (names []string) {
	for _, p := range built[0].platforms {
		names = append(names, p.name)
	}
	return names
}
