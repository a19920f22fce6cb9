package images

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// actionlint is a program of its own: it and ko need versions of one module that do not
// go together.
const actionlint = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"

// TestTheWorkflowsAreWellFormed asks actionlint, which knows what GitHub takes. Where
// shellcheck is installed actionlint looks at the scripts in them, too.
func TestTheWorkflowsAreWellFormed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repository, ".github", "workflows", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"run", actionlint}, files...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
