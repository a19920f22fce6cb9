package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	tableRow = regexp.MustCompile("(?m)^\\| (`[A-Z_]+`[^|]*) \\|([^|]*)\\|.*$")
	variable = regexp.MustCompile("`([A-Z_]+)`")
)

// documented maps each variable in a document's tables to the default that is
// written there.
func documented(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	out := map[string]string{}
	for _, row := range tableRow.FindAllStringSubmatch(string(text), -1) {
		for _, name := range variable.FindAllStringSubmatch(row[1], -1) {
			require.NotContains(t, out, name[1], "it is documented twice")
			out[name[1]] = strings.ReplaceAll(strings.TrimSpace(row[2]), "`", "")
		}
	}
	return out
}

func TestTheDocumentsSayWhatTheCodeDoes(t *testing.T) {
	for path, of := range map[string][]reflect.Type{
		"../docs/configuration.md": {reflect.TypeFor[Config](), reflect.TypeFor[Prune]()},
		"../docs/source.md":        {reflect.TypeFor[Source]()},
		"../docs/deadletters.md":   {reflect.TypeFor[DeadLetters]()},
	} {
		t.Run(path, func(t *testing.T) {
			left := documented(t, path)
			seen := map[string]bool{}
			for _, field := range slices.Concat(reflect.VisibleFields(of[0]), reflect.VisibleFields(of[len(of)-1])) {
				tag := field.Tag
				name := tag.Get("env")
				if name == "" || seen[name] || len(field.Index) > 1 && of[0] != reflect.TypeFor[Config]() {
					continue // What the three have in common stands in one document.
				}
				seen[name] = true
				require.Contains(t, left, name)
				if value, ok := tag.Lookup("envDefault"); ok {
					require.Equal(t, value, left[name], "the default of %s", name)
				}
				delete(left, name)
			}
			for _, name := range []string{"GOGC", "GOMEMLIMIT"} { // Go's own: ours need not read them.
				delete(left, name)
			}
			require.Empty(t, left, "variables that nothing reads")
		})
	}
}
