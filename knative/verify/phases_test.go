package verify

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"onefire/dedup"
)

var (
	// names are three or more in a row, as prose, PromQL and code list them.
	names = regexp.MustCompile(`\w+(?:(?:\||",? ?"|, (?:and )?| and )\w+){2,}`)
	word  = regexp.MustCompile(`\w+`)
	// phaseMatcher is how PromQL tells active requests from ended ones.
	phaseMatcher = regexp.MustCompile(`\bphase ?(?:!~|=~) ?\\?"([^"\\]*)\\?"`)
)

// phaseLists are a text's lists of terminal phases: each that has two of them at
// least, and each matcher of the label phase.
func phaseLists(text string, terminal []string) (lists [][]string) {
	isTerminal := func(name string) bool { return slices.Contains(terminal, name) }
	if !slices.ContainsFunc(terminal, func(phase string) bool { return strings.Contains(text, phase) }) && !strings.Contains(text, "phase") {
		return nil // Which is quick to tell.
	}
	for _, list := range names.FindAllString(strings.Join(strings.Fields(text), " "), -1) {
		all := slices.DeleteFunc(word.FindAllString(list, -1), func(name string) bool { return name == "and" })
		first := slices.IndexFunc(all, isTerminal)
		if first < 0 || !slices.ContainsFunc(all[first+1:], isTerminal) {
			continue
		}
		// The words before the first phase are none.
		lists = append(lists, all[first:])
	}
	for _, matcher := range phaseMatcher.FindAllStringSubmatch(text, -1) {
		lists = append(lists, strings.Split(matcher[1], "|"))
	}
	return lists
}

// The test names the other places when a phase is removed from one of these, or
// added in dedup alone.
func TestEveryListOfTerminalPhasesIsThatOfTheCode(t *testing.T) {
	const root = "../.."
	terminal := dedup.TerminalPhases()
	lists := map[string]int{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "bin" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case d.IsDir(), !slices.Contains([]string{".md", ".yaml", ".json", ".go", ".tpl", ".txt"}, filepath.Ext(path)):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found := phaseLists(string(content), terminal)
		for _, list := range found {
			assert.ElementsMatch(t, terminal, list, path)
		}
		if len(found) > 0 {
			name, _ := filepath.Rel(root, path)
			lists[filepath.ToSlash(name)] = len(found)
		}
		return nil
	}))
	t.Logf("%v", lists)
	for name, least := range map[string]int{
		"knative/crd/remediationrequests.yaml":      1,
		"knative/chart/templates/crd.yaml":          1,
		"knative/chart/files/rules.yaml":            2,
		"knative/observability/prometheusrule.yaml": 2,
		"knative/chart/files/dashboard.json":        6,
		"docs/concepts.md":                          1,
		"docs/controllers.md":                       1,
		"docs/runbooks/OnefireActiveTooOld.md":      1,
	} {
		require.GreaterOrEqual(t, lists[name], least, name)
	}
}
