package function

import (
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// tuneMemory tells the garbage collector how much memory there is and how much
// of it may be garbage, unless GOMEMLIMIT, of which it is told, and GOGC do. The
// processors of a container Go's runtime counts itself.
func tuneMemory(gomemlimit string, container memlimit.Provider) {
	if before := debug.SetGCPercent(gcPercent); before != defaultGCPercent {
		debug.SetGCPercent(before) // GOGC has it otherwise.
	}
	if gomemlimit == "" {
		debug.SetMemoryLimit(heapLimit(container))
	}
}

// heapLimit is [memoryShare] of what the container has, and [memoryLimit] where
// there is no container, or no limit to it. It needs no upper bound of its own:
// what is in use is bounded by the limits of this package, and what is garbage
// by [gcPercent] of that.
func heapLimit(container memlimit.Provider) int64 {
	limit, err := memlimit.ApplyRatio(container, memoryShare)()
	if err != nil || limit == 0 {
		return memoryLimit
	}
	return int64(min(limit, math.MaxInt64))
}
