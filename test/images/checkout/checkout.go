// Package checkout makes small git repositories for tests: always the same commit of the
// same files.
package checkout

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Make makes a repository with one commit of the tree below root as it is, in a folder of
// its own. except are pathspecs of what is left out.
func Make(t testing.TB, root string, except ...string) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."}
	for _, path := range except {
		args = append(args, ":!"+path)
	}
	list := exec.CommandContext(t.Context(), "git", args...)
	list.Dir = root
	out, err := list.Output()
	require.NoError(t, err)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // Deleted, and not committed yet.
		}
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	Commit(t, dir)
	return dir
}

// Commit makes a repository of a folder, with one commit of all that is there.
func Commit(t testing.TB, dir string) {
	t.Helper()
	Git(t, dir, "init", "-q")
	Git(t, dir, "add", "-A")
	Git(t, dir, "commit", "-q", "-m", "all of it")
}

// Git runs git in a folder, as somebody who commits at one and the same time.
func Git(t testing.TB, dir string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "git", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a",
		"GIT_COMMITTER_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-17T11:00:00Z", "GIT_COMMITTER_DATE=2026-01-17T11:00:00Z")
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
