package receive

import (
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Memory configures the garbage collector of a process.
type Memory struct {
	// Told is GOMEMLIMIT, which overrides the limits below.
	Told string
	// Otherwise is the limit if no container has one, in bytes; 0 for none.
	Otherwise int64
	// GCPercent is the GOGC to use if the environment does not set it; 0 for Go's
	// default.
	GCPercent int
}

// Tune configures the garbage collector. The limit is [memoryShare] of the container's
// memory. It needs no upper bound, because the program's own bounds limit the memory in
// use, and GCPercent limits the garbage. Go derives GOMAXPROCS from the container's CPU
// limit.
func (m Memory) Tune() { m.tune(memlimit.FromCgroup) }

func (m Memory) tune(container memlimit.Provider) {
	if m.GCPercent != 0 {
		if before := debug.SetGCPercent(m.GCPercent); before != defaultGCPercent {
			debug.SetGCPercent(before) // GOGC is set.
		}
	}
	if m.Told != "" {
		return
	}
	if limit := m.limit(container); limit != 0 {
		debug.SetMemoryLimit(limit)
	}
}

// limit is zero if there is no limit.
func (m Memory) limit(container memlimit.Provider) int64 {
	limit, err := memlimit.ApplyRatio(container, memoryShare)()
	if err != nil || limit == 0 {
		return m.Otherwise
	}
	return int64(min(limit, math.MaxInt64))
}
