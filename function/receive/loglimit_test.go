package receive

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOneLineInEachPauseIsLogged(t *testing.T) {
	const pause = time.Minute
	var l LogLimit
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, line := range []struct {
		after    time.Duration
		ok       bool
		unlogged int
	}{
		{0, true, 0},
		{0, false, 0},
		{pause - 1, false, 0},
		{pause, true, 2},
		{2*pause - 1, false, 0},
		{2 * pause, true, 1},
		{4 * pause, true, 0},
	} {
		unlogged, ok := l.Next(begun.Add(line.after), pause)
		require.Equal(t, line.ok, ok, line.after)
		require.Equal(t, line.unlogged, unlogged, line.after)
	}
}
