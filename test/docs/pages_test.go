package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// files lists the repository's files whose name ends so, by their paths from
// the root.
func files(t *testing.T, ending string) (found []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "node_modules") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ending) && !entry.IsDir() {
			relative, err := filepath.Rel(root, path)
			found = append(found, filepath.ToSlash(relative))
			return err
		}
		return nil
	}))
	return found
}

func text(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(content)
}

var (
	link    = regexp.MustCompile(`(?:\]\(|(?:src|href)=")([^)"\s]+)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
	mark    = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`)
)

// anchors are the fragments that GitHub gives a page's headings.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		found[strings.ReplaceAll(mark.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
	}
	return found
}

func TestLinksLeadSomewhere(t *testing.T) {
	checked := 0
	for _, page := range files(t, ".md") {
		for _, l := range link.FindAllStringSubmatch(fence.ReplaceAllString(text(t, page), ""), -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			checked++
			path, fragment, _ := strings.Cut(l[1], "#")
			target := page
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), path))
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %s leads to nothing", page, l[1])
				continue
			}
			if fragment != "" && !anchors(text(t, target))[fragment] {
				t.Errorf("%s: %s: there is no such heading", page, l[1])
			}
		}
	}
	require.Greater(t, checked, 50, "links were found")
}

var (
	testName = regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z]\w+)(…?)`)
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w+)\(`)
	target   = regexp.MustCompile("`make ([a-z0-9-]+)")
	// Names of objects begin with rr-.
	shortName = regexp.MustCompile(`(?m)kubectl [^|\n]*\brr(?:[^-\w].*|$)`)
)

// TestWhatPagesNameIsThere is about tests and make targets. A name with an
// ellipsis, and one in a command's pattern, is the beginning of a test's name.
func TestWhatPagesNameIsThere(t *testing.T) {
	var tests []string
	for _, file := range files(t, "_test.go") {
		for _, f := range testFunc.FindAllStringSubmatch(text(t, file), -1) {
			tests = append(tests, f[1])
		}
	}
	all := "\n" + strings.Join(tests, "\n") + "\n"
	makefile := text(t, "Makefile")
	named := 0
	for _, page := range files(t, ".md") {
		content := text(t, page)
		for _, m := range testName.FindAllStringSubmatch(content, -1) {
			named++
			if !strings.Contains(all, "\n"+m[1]) {
				t.Errorf("%s names %s, and there is no such test", page, m[0])
			}
		}
		for _, m := range target.FindAllStringSubmatch(content, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s names `make %s`, and there is no such target", page, m[1])
			}
		}
	}
	require.Greater(t, named, 10, "names were found")
}

// Where Knative Eventing runs, rr is first of all its RequestReply.
func TestNobodyIsToldToUseTheShortName(t *testing.T) {
	for _, ending := range []string{".md", ".go", ".py", ".yaml"} {
		for _, file := range files(t, ending) {
			for _, command := range shortName.FindAllString(text(t, file), -1) {
				t.Errorf("%s: %s: name remediationrequests in full", file, command)
			}
		}
	}
}

// Tests with the tag kube run only where make test-kube names their folder.
func TestMakeTestKubeRunsAllThatIsMeantForIt(t *testing.T) {
	_, recipe, found := strings.Cut(text(t, "Makefile"), "\ntest-kube:")
	require.True(t, found)
	recipe, _, _ = strings.Cut(recipe, "\n\n")
	tagged := 0
	for _, file := range files(t, "_test.go") {
		if !strings.HasPrefix(text(t, file), "//go:build kube\n") {
			continue
		}
		tagged++
		if folder := "./" + filepath.Base(filepath.Dir(file)); !strings.Contains(recipe, " "+folder+" ") {
			t.Errorf("%s is run by nothing: make test-kube does not name %s", file, folder)
		}
	}
	require.NotZero(t, tagged, "tests were found")
}
