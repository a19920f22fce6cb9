package receive

import (
	"errors"
	"math"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/stretchr/testify/require"
)

func TestTheHeapKeepsToAShareOfTheContainer(t *testing.T) {
	const memoryLimit = 200 << 20
	for name, tt := range map[string]struct {
		container memlimit.Provider
		want      int64
	}{
		"a container of 256 MiB": {memlimit.Limit(256 << 20), 268435456 * 8 / 10},
		"a small one":            {memlimit.Limit(64 << 20), 67108864 * 8 / 10},
		"a large one":            {memlimit.Limit(8 << 30), 8589934592 * 8 / 10},
		"one without a limit":    {func() (uint64, error) { return 0, memlimit.ErrNoLimit }, memoryLimit},
		"none":                   {func() (uint64, error) { return 0, errors.New("no cgroup") }, memoryLimit},
		"a limit of nothing":     {memlimit.Limit(0), memoryLimit},
		"more than Go can count": {memlimit.Limit(math.MaxUint64), math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, Memory{Otherwise: memoryLimit}.limit(tt.container)) })
	}
}

func TestWhatTheEnvironmentSaysOfMemoryStands(t *testing.T) {
	const gcPercent = 200
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(defaultGCPercent)
	defer func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}()
	for name, tt := range map[string]struct {
		gomemlimit  string
		gogc        int // what Go's runtime has read from GOGC
		wantLimit   int64
		wantPercent int
	}{
		"neither is set":    {"", defaultGCPercent, memoryShare * (100 << 20), gcPercent},
		"GOMEMLIMIT is set": {"1GiB", defaultGCPercent, 1 << 30, gcPercent},
		"GOGC is set":       {"", 50, memoryShare * (100 << 20), 50},
		"GOGC is off":       {"", -1, memoryShare * (100 << 20), -1},
	} {
		t.Run(name, func(t *testing.T) {
			debug.SetMemoryLimit(1 << 30)
			debug.SetGCPercent(tt.gogc)
			Memory{Told: tt.gomemlimit, GCPercent: gcPercent}.tune(memlimit.Limit(100 << 20))
			require.Equal(t, tt.wantLimit, debug.SetMemoryLimit(-1))
			require.Equal(t, tt.wantPercent, debug.SetGCPercent(tt.gogc))
		})
	}
}

func TestTuningIsDoneOfWhatTheContainerHas(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(defaultGCPercent)
	defer func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}()
	Memory{Told: "1GiB", GCPercent: 77}.Tune()
	require.Equal(t, 77, debug.SetGCPercent(percent))
}

// The source and the dead-letter store leave to Go what no container bounds.
func TestWhatIsNotAskedForStaysAsItIs(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(1<<30), debug.SetGCPercent(defaultGCPercent)
	defer func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}()
	Memory{}.tune(func() (uint64, error) { return 0, memlimit.ErrNoLimit })
	require.EqualValues(t, 1<<30, debug.SetMemoryLimit(-1))
	Memory{}.tune(memlimit.Limit(100 << 20))
	require.Equal(t, int64(memoryShare*(100<<20)), debug.SetMemoryLimit(-1))
	require.Equal(t, defaultGCPercent, debug.SetGCPercent(defaultGCPercent))
}
