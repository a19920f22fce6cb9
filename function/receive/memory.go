package receive

import (
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Memory says what the garbage collector of a process keeps to.
type Memory struct {
	// Told is GOMEMLIMIT, which goes before all that follows of the limit.
	Told string
	// Otherwise is the limit where no container has one, in bytes; 0 for none.
	Otherwise int64
	// GCPercent is GOGC, unless the environment says it; 0 for Go's own.
	GCPercent int
}

// Tune tells the garbage collector. The limit is [memoryShare] of what the container
// has. It needs no upper bound of its own: what is in use is bounded by the limits of
// the program, and what is garbage by GCPercent of that. Go derives GOMAXPROCS from the
// container's CPU limit itself.
func (m Memory) Tune() { m.tune(memlimit.FromCgroup) }

func (m Memory) tune(container memlimit.Provider) {
	if m.GCPercent != 0 {
		if before := debug.SetGCPercent(m.GCPercent); before != defaultGCPercent {
			debug.SetGCPercent(before) // GOGC has it otherwise.
		}
	}
	if m.Told != "" {
		return
	}
	if limit := m.limit(container); limit != 0 {
		debug.SetMemoryLimit(limit)
	}
}

// limit is zero where there is none.
func (m Memory) limit(container memlimit.Provider) int64 {
	limit, err := memlimit.ApplyRatio(container, memoryShare)()
	if err != nil || limit == 0 {
		return m.Otherwise
	}
	return int64(min(limit, math.MaxInt64))
}
