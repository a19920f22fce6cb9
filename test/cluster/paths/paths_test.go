package paths

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheRepositoryIsFoundFromBelow(t *testing.T) {
	root := t.TempDir()
	below := filepath.Join(root, "a", "b")
	require.NoError(t, os.MkdirAll(below, 0o755))
	_, err := Find(below)
	require.ErrorContains(t, err, "start this inside the repository")
	require.NoError(t, os.WriteFile(filepath.Join(root, "func.yaml"), nil, 0o600))
	p, err := Find(below)
	require.NoError(t, err)
	require.Equal(t, root, p.Repo)
}

func TestAPathThatIsTooLongForSocketsIsRefused(t *testing.T) {
	root := filepath.Join(t.TempDir(), strings.Repeat("a", maxSocketPath))
	require.NoError(t, os.MkdirAll(root, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "func.yaml"), nil, 0o600))
	_, err := Find(root)
	require.ErrorContains(t, err, "move the repository up")
}
