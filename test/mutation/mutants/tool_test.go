package mutants

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden file anew")

// Each operator makes its mutants of a package that has one of everything, and of each
// it is known whether that package's weak tests notice.
func TestEveryOperator(t *testing.T) {
	root, err := filepath.Abs("testdata/weak")
	require.NoError(t, err)
	binaries, mutants, broken, err := Build(t.Context(), root, t.TempDir(), []string{"."}, []string{"."})
	require.NoError(t, err)
	require.Empty(t, broken)
	index, failed, err := binaries[0].Index(t.Context(), Room{})
	require.NoError(t, err)
	require.Empty(t, failed)
	require.Len(t, index, 3)
	var results strings.Builder
	for _, m := range mutants {
		result, by := Try(t.Context(), m, index)
		require.Equal(t, result == Noticed, by != "", "%s", m.Key())
		fmt.Fprintf(&results, "%-11s %s\n", result, m.Key())
	}
	const golden = "testdata/weak.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(results.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), results.String())

	// With -all, one test notices more.
	thorough, _, err := binaries[0].Index(t.Context(), Room{Thorough: map[string][]string{"TestMost": {"-all"}}})
	require.NoError(t, err)
	more := 0
	for _, m := range mutants {
		if result, _ := Try(t.Context(), m, index); result == Survived {
			if result, by := Try(t.Context(), m, thorough); result == Noticed {
				require.Equal(t, "TestMost", by)
				more++
			}
		}
	}
	require.Positive(t, more)
}

// Each line of the list has a reason, and names a mutant that can still be made.
func TestTheListOfAcceptedMutantsIsOfThisCode(t *testing.T) {
	accepted, err := Accepted("../accepted.txt")
	require.NoError(t, err)
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	var packages []string
	for _, r := range Rooms {
		packages = append(packages, r.Packages...)
	}
	loaded, err := load(t.Context(), root, packages)
	require.NoError(t, err)
	there := map[string]bool{}
	for _, p := range loaded {
		id := 0
		found, err := p.find(root, func() int { id++; return id })
		require.NoError(t, err)
		for _, m := range found {
			require.False(t, there[m.Key()], "two mutants are %s", m.Key())
			there[m.Key()] = true
		}
		t.Logf("%s: %d mutants", p.path, len(found))
	}
	for key := range accepted {
		require.True(t, there[key], "there is no mutant %s", key)
	}
	t.Logf("%d mutants, %d of them accepted", len(there), len(accepted))
}

func TestAListWithoutReasonsIsNone(t *testing.T) {
	for name, text := range map[string]string{
		"no reason":    "a.go f: x → y\n",
		"empty reason": "a.go f: x → y because \n",
		"twice":        "a.go f: x → y because z\na.go f: x → y because of that\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			_, err := Accepted(path)
			require.Error(t, err)
		})
	}
}
