// Package mutation breaks the deduplication protocol on purpose, one way at a
// time, and asks that the exploration of its schedules notices, or for what time decides
// a test that has a clock of its own; and the rules for targets, of which a row of their
// tests must. A mutation that survives is a hole
// in the check or a needless part of the code.
package mutation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryMutationIsNoticed(t *testing.T) {
	for name, m := range mutations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			binary := build(t, "dedup", m.edits)
			if m.by != "" {
				notice(t, binary, "^"+m.by+"$")
				return
			}
			if m.kept != "" {
				notice(t, binary, one("TestKeptSchedules", m.kept))
			}
			if !m.unexplored {
				notice(t, binary, one("TestEverySchedule", m.in), "^TestEverySchedule$")
			}
		})
	}
}

// one chooses one of a test's subtests.
func one(test, name string) string {
	return "^" + test + "$/^" + regexp.QuoteMeta(strings.ReplaceAll(name, " ", "_")) + "$"
}

// finding is what is wrong with the mutation, and in which test it showed.
var finding = regexp.MustCompile(`(I\d+: [^\n]*|handler \d+: [^\n]*|livelock: [^\n]*)`)

var failed = regexp.MustCompile(`--- FAIL: (\w+/[^\n]*) \(`)

// notice asks that one of some tests, which are tried in turn, fails because of a finding.
func notice(t *testing.T, binary string, tests ...string) {
	t.Helper()
	var out []byte
	var err error
	for _, test := range tests {
		run := exec.Command(binary, "-test.run", test, "-test.failfast", "-test.timeout", "10m")
		run.Dir = filepath.Dir(binary)
		if out, err = run.CombinedOutput(); err != nil {
			break
		}
	}
	require.Error(t, err, "it survived %s", tests)
	what, where := finding.FindString(string(out)), failed.FindSubmatch(out)
	require.NotEmpty(t, what, "it failed for another reason:\n%s", out)
	require.NotNil(t, where, "%s", out)
	t.Logf("%s: %s", where[1], what)
}

// build makes a package's test binary of the edited files.
func build(t *testing.T, of string, edits []edit) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), of+".test")
	make := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", mutate(t, of, edits), "-o", binary, "./"+of)
	make.Dir = "../.."
	out, err := make.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

// mutate writes the edited files beside the real ones, as an overlay for the go
// command.
func mutate(t *testing.T, of string, edits []edit) string {
	t.Helper()
	dir := t.TempDir()
	texts := map[string]string{}
	for _, e := range edits {
		path, err := filepath.Abs(filepath.Join("../..", of, e.file))
		require.NoError(t, err)
		if texts[path] == "" {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			texts[path] = string(b)
		}
		require.Equal(t, 1, strings.Count(texts[path], e.from), "%s: %s", e.file, e.from)
		texts[path] = strings.Replace(texts[path], e.from, e.to, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		require.NoError(t, os.WriteFile(replace[path], []byte(text), 0o600))
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	overlay := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlay, b, 0o600))
	return overlay
}
