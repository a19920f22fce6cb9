package release

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNotesAreTheChangelogsSection(t *testing.T) {
	keep := "# Changelog\n\n## [Unreleased]\n- coming\n\n## [1.2.3] - 2026-11-29\n### Added\n- a\n\n## v1.2.2\n- older\n\n## [1.2.1]\n"
	for reason, row := range map[string]struct{ text, version, want, said string }{
		"a version in brackets with a date":  {keep, "v1.2.3", "### Added\n- a", ""},
		"a version with a v":                 {keep, "v1.2.2", "- older", ""},
		"a version that is not there":        {keep, "v1.3.0", "- coming", "has no section v1.3.0"},
		"a version of which nothing is said": {keep, "v1.2.1", "", ""},
		"nothing unreleased":                 {"# Changelog\n\n## 1.0.0\n- a\n", "v1.1.0", "", ""},
	} {
		for _, file := range changelogs {
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(row.text), 0o600))
			var said strings.Builder
			got, err := section(dir, row.version, &said)
			require.Equal(t, row.want, got, reason)
			require.Equal(t, row.want == "", err != nil, reason)
			require.Contains(t, said.String(), row.said, reason)
			require.Equal(t, row.said == "", said.Len() == 0, reason)
		}
	}
	_, err := section(t.TempDir(), "v1.0.0", io.Discard)
	require.ErrorContains(t, err, "docs/changelog.md")
}
