package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// maxMarkdown and maxComment are how many characters a line may have: what a terminal
// or a review shows in one row, beside another file.
const (
	maxMarkdown = 120
	maxComment  = 100
)

// Rules of style.
const (
	long     = "a line is too long"
	headless = "a sentence has no named subject"
)

// A finding is a place that breaks a rule, and what stands there.
type finding struct{ path, rule, text string }

func TestStyle(t *testing.T) {
	var found []finding
	for _, path := range files(t, ".md") {
		found = append(found, inMarkdown(path, text(t, path))...)
	}
	sources := files(t, ".go")
	require.Greater(t, len(sources), 500, "tests are looked at, too")
	for _, path := range sources {
		found = append(found, inGo(t, path, text(t, path))...)
	}
	for _, path := range manifests(t) {
		found = append(found, inManifest(path, text(t, path))...)
	}
	for _, f := range found {
		t.Errorf("%s: %s: %s", f.path, f.rule, f.text)
	}
}

var (
	// target of a link, and a tag of HTML: neither can be broken over lines.
	unbreakable = regexp.MustCompile(`\]\([^)]*\)|<[^>]*>`)
	definition  = regexp.MustCompile(`^\[[^\]]+\]: `)
	item        = regexp.MustCompile(`^\s*(?:[-*]|\d+\.) `)
	codeSpan    = regexp.MustCompile("`[^`]*`")
	// subjectless is how a sentence without a named subject begins, with its end.
	subjectless = regexp.MustCompile(`(?:^|[.!?:]["')*]* )[*_"'(\[]*((?:Who|What|Whoever|Whatever) [^.!?]*[.!?]?)`)
)

// inMarkdown checks a page: the length of lines outside of tables, code and links, and
// the subjects of sentences outside of code and headings.
func inMarkdown(path, page string) (found []finding) {
	var block []string
	flush := func() {
		found = append(found, sentences(path, strings.Join(block, " "))...)
		block = nil
	}
	code := false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		trimmed := strings.TrimSpace(line)
		fenced := strings.HasPrefix(trimmed, "```")
		if fenced {
			code = !code
		}
		switch {
		case fenced || code || trimmed == "" || strings.HasPrefix(trimmed, "#") || definition.MatchString(trimmed):
			flush()
			continue
		case strings.HasPrefix(trimmed, "|"):
			flush()
			for _, cell := range strings.Split(trimmed, "|") {
				found = append(found, sentences(path, strings.TrimSpace(cell))...)
			}
			continue
		case item.MatchString(line):
			flush()
			trimmed = strings.TrimSpace(item.ReplaceAllString(line, ""))
		}
		block = append(block, trimmed)
		if n := utf8.RuneCountInString(unbreakable.ReplaceAllString(line, "]")); n > maxMarkdown {
			found = append(found, finding{path, long, line})
		}
	}
	flush()
	return found
}

// manifests are the files of YAML that are written by hand. The chart's templates are
// made of them, and the comments of its values stand in its README.md.
func manifests(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(append(files(t, ".yaml"), files(t, ".yml")...), func(path string) bool {
		return !strings.HasPrefix(path, "knative/") || strings.HasPrefix(path, "knative/chart/")
	})
}

// inManifest checks the comments of a file of YAML.
func inManifest(path, source string) (found []finding) {
	var block []string
	for line := range strings.Lines(source + "\n\n") {
		if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok {
			block = append(block, comment)
			if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > maxComment {
				found = append(found, finding{path, long, line})
			}
			continue
		}
		found = append(found, sentences(path, strings.Join(block, " "))...)
		block = nil
	}
	return found
}

// inGo checks the comments of a file of Go.
func inGo(t *testing.T, path, source string) (found []finding) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, source, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	lines := strings.Split(source, "\n")
	for _, group := range file.Comments {
		for _, paragraph := range strings.Split(group.Text(), "\n\n") {
			found = append(found, sentences(path, strings.Join(strings.Fields(paragraph), " "))...)
		}
		for _, comment := range group.List {
			if directive(comment) {
				continue
			}
			first, last := fset.Position(comment.Pos()).Line, fset.Position(comment.End()).Line
			for _, line := range lines[first-1 : last] {
				// An example is code.
				if utf8.RuneCountInString(line) > maxComment && !strings.HasPrefix(line, "//\t") {
					found = append(found, finding{path, long, line})
				}
			}
		}
	}
	return found
}

// directive tells comments that tools read, which stand on one line.
func directive(c *ast.Comment) bool {
	return strings.HasPrefix(c.Text, "//go:") || strings.HasPrefix(c.Text, "//nolint")
}

// sentences gives those of a text that have no named subject and are no questions.
func sentences(path, block string) (found []finding) {
	for _, s := range subjectless.FindAllStringSubmatch(codeSpan.ReplaceAllString(block, "x"), -1) {
		if !strings.HasSuffix(s[1], "?") {
			found = append(found, finding{path, headless, s[1]})
		}
	}
	return found
}

func TestBreachesOfStyleAreFound(t *testing.T) {
	words := strings.Repeat("word ", 25)
	for name, tt := range map[string]struct {
		page string
		want []string
	}{
		"a long line":              {words, []string{long}},
		"a long line of a list":    {"- " + words, []string{long}},
		"a long row":               {"| " + words + "|", nil},
		"a long command":           {"```\n" + words + "\n```", nil},
		"a long address":           {"[page](https://" + strings.Repeat("a", 120) + ")", nil},
		"wide letters":             {strings.Repeat("ü", 120), nil},
		"a headless sentence":      {"Who asks is told.", []string{headless}},
		"in the middle":            {"It is so. Whoever asks is told.", []string{headless}},
		"over two lines":           {"It is so. What\nis asked is told.", []string{headless}},
		"in bold":                  {"**What is asked** is told.", []string{headless}},
		"after a colon":            {"So: Whatever is asked is told.", []string{headless}},
		"in a cell":                {"| What is asked is told | x |", []string{headless}},
		"in a list":                {"- Who asks is told", []string{headless}},
		"a question":               {"Who asks? What does it say?", nil},
		"a heading":                {"## What runs", nil},
		"a command":                {"```\nWho asks is told.\n```", nil},
		"a word that begins alike": {"Whole sentences. Whose is it.", nil},
		"within a sentence":        {"The handler says what it does.", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var rules []string
			for _, f := range inMarkdown("page.md", tt.page) {
				rules = append(rules, f.rule)
			}
			require.Equal(t, tt.want, rules)
		})
	}
	source := "package a\n\n// " + strings.Repeat("w", 98) + "\nvar a = 1\n\n// Who asks\n// is told.\nvar b = 2 // " + words + words +
		"\n\n//nolint:all // " + words + words + "\nvar c = 3\n"
	var rules []string
	for _, f := range inGo(t, "a.go", source) {
		rules = append(rules, f.rule)
	}
	require.Equal(t, []string{long, headless, long}, rules)
	require.Len(t, inManifest("a.yaml", "a: 1\n  # Who asks\n  # is told.\nb: 1 # "+words+"\n# "+words), 2)
}
