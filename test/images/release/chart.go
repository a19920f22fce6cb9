package release

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// chartFile is the name that Helm gives the package of a chart, whose version has no v.
func chartFile(version string) string { return "onefire-" + strings.TrimPrefix(version, "v") + ".tgz" }

// writeChart packs knative/chart with the release's version and the digests of its
// images as defaults.
func writeChart(o Options, f folder, built []program) error {
	root := os.DirFS(filepath.Join(o.Root, "knative", "chart"))
	ignored, err := ignores(root)
	if err != nil {
		return err
	}
	edits, err := chartEdits(o, built)
	if err != nil {
		return err
	}
	var files []file
	// WalkDir goes in lexical order, so the archive is always the same.
	err = fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || ignored(path) {
			return err
		}
		data, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		text := string(data)
		for _, e := range edits[path] {
			if n := len(e.from.FindAllStringIndex(text, -1)); n != 1 {
				return fmt.Errorf("%s has %d places like %s, and needs one", path, n, e.from)
			}
			text = e.from.ReplaceAllLiteralString(text, e.to)
		}
		files = append(files, file{"onefire/" + path, 0o644, []byte(text)})
		return nil
	})
	if err != nil {
		return fmt.Errorf("packing the chart: %w", err)
	}
	return f.archive(chartFile(o.Version), files)
}

// An edit puts a text in the one place that fits.
type edit struct {
	from *regexp.Regexp
	to   string
}

// chartEdits are by file. Comments of what is not changed stay.
func chartEdits(o Options, built []program) (map[string][]edit, error) {
	values := []edit{{regexp.MustCompile(`(?m)^  registry: .*$`), "  registry: " + strings.TrimSuffix(o.Repository, "/")}}
	for _, p := range built {
		values = append(values, edit{
			regexp.MustCompile(`(?m)^    name: ` + regexp.QuoteMeta(p.name) + `\n    digest: ""$`),
			"    name: " + p.name + "\n    digest: " + p.digest,
		})
	}
	if len(built) == 0 {
		return nil, errors.New("no image was built")
	}
	return map[string][]edit{
		"Chart.yaml": {
			{regexp.MustCompile(`(?m)^version: .*$`), "version: " + strings.TrimPrefix(o.Version, "v")},
			{regexp.MustCompile(`(?m)^(#.*\n)*appVersion: .*$`), "appVersion: " + o.Version},
		},
		"values.yaml": values,
	}, nil
}

// ignores tells which files .helmignore leaves out: folders that end in a slash, and files
// by their path. helm package knows more patterns; one of those is an error here.
func ignores(chart fs.FS) (func(path string) bool, error) {
	text, err := fs.ReadFile(chart, ".helmignore")
	if err != nil {
		return nil, fmt.Errorf("reading what the chart leaves out: %w", err)
	}
	folders, files := []string{}, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimSpace(line); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.ContainsAny(line, `*?[]!\`):
			return nil, fmt.Errorf(".helmignore: %q has a pattern, and only names are understood here", line)
		case strings.HasSuffix(line, "/"):
			folders = append(folders, line)
		default:
			files[line] = true
		}
	}
	return func(path string) bool {
		for _, folder := range folders {
			if strings.HasPrefix(path, folder) {
				return true
			}
		}
		return files[path]
	}, nil
}
