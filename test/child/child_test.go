package child

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALogIsReadWhileItIsWritten(t *testing.T) {
	var log Log
	var writers sync.WaitGroup
	for range 10 {
		writers.Go(func() {
			for range 100 {
				fmt.Fprint(&log, "x")
				_ = log.String()
			}
		})
	}
	writers.Wait()
	require.Len(t, log.String(), 1000)
}

func TestABuildThatFailsSaysWhy(t *testing.T) {
	require.ErrorContains(t, Build(".", filepath.Join(t.TempDir(), "none"), "./nowhere"), "nowhere")
}

func TestAKubeThatEndsAtOnceIsAnError(t *testing.T) {
	binary, err := exec.LookPath("false")
	require.NoError(t, err)
	_, _, err = StartKube(binary, t.TempDir())
	require.ErrorContains(t, err, "did not start")
}
