package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
	"onefire/test/client"
)

const (
	// maxInitAllocs and maxInitBytes are what all packages together may allocate
	// before main begins. A fifth more than it is now: an update of a library may
	// add a little, and a typed clientset adds many times that.
	maxInitAllocs = 8_000
	maxInitBytes  = 1_500_000
)

// theFloorServer makes the function's calls and has nothing of ours in it.
const theFloorServer = "test/e2e/testdata/floorserver/main.go"

// initCost is what the initialization of a package allocates.
type initCost struct {
	name          string
	bytes, allocs int
}

var initLine = regexp.MustCompile(`(?m)^init (\S+) @.* clock, (\d+) bytes, (\d+) allocs$`)

// initCosts runs a binary that does not come beyond its configuration, and
// returns what the initialization of each package allocates.
func initCosts(t *testing.T, binary string) []initCost {
	t.Helper()
	traced := exec.Command(binary)
	traced.Env = []string{"GODEBUG=inittrace=1"}
	trace, err := traced.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "it needs a configuration")
	var costs []initCost
	for _, line := range initLine.FindAllStringSubmatch(string(trace), -1) {
		c := initCost{name: line[1]}
		c.bytes, err = strconv.Atoi(line[2])
		require.NoError(t, err)
		c.allocs, err = strconv.Atoi(line[3])
		require.NoError(t, err)
		costs = append(costs, c)
	}
	require.NotEmpty(t, costs, "%s", trace)
	return costs
}

// Packages allocate the same before main at each start, whatever time it takes, and that
// is what makes a start slow.
func TestInitializationIsSmall(t *testing.T) {
	costs := initCosts(t, stripped(t))
	var sum initCost
	for _, c := range costs {
		sum.bytes += c.bytes
		sum.allocs += c.allocs
	}
	worst := ""
	slices.SortFunc(costs, func(a, b initCost) int { return cmp.Compare(b.allocs, a.allocs) })
	for _, c := range costs[:min(10, len(costs))] {
		worst += fmt.Sprintf("\n%8d bytes %6d allocs  %s", c.bytes, c.allocs, c.name)
	}
	t.Logf("%d packages allocate %d bytes in %d pieces; most of them:%s", len(costs), sum.bytes, sum.allocs, worst)
	require.LessOrEqual(t, sum.allocs, maxInitAllocs, "most of them:%s", worst)
	require.LessOrEqual(t, sum.bytes, maxInitBytes, "most of them:%s", worst)
}

// BenchmarkColdStart is the time from exec to the first 2xx, with a new
// RemediationRequest and its audit events; and how many times that is of two
// others', which start by turns with the function, because machines differ and
// their load changes: of an empty server of the Functions Framework, and of the
// floor, which makes the same calls and does nothing else.
func BenchmarkColdStart(b *testing.B) {
	binaries := map[string]string{}
	worlds := map[string]*world{}
	took := map[string][]time.Duration{}
	for name, command := range map[string]string{"empty": theEmptyServer, "floor": theFloorServer, "function": theFunction} {
		binaries[name] = strippedCommand(b, command)
		worlds[name] = newWorld(b, mapping.Schema202608)
	}
	for b.Loop() {
		for _, name := range []string{"empty", "floor", "function"} {
			b.StopTimer()
			f := worlds[name].prepare(binaries[name], "LOG_LEVEL=error")
			id := strconv.Itoa(len(took[name]))
			body := webhook(alert("firing", "alertname=Cold", "pod=api-"+id))
			if name == "function" {
				b.StartTimer()
			}
			took[name] = append(took[name], start(b, f, id, []byte(body)))
			b.StopTimer()
			require.NoError(b, f.process.Process.Kill())
			var killed *exec.ExitError
			require.ErrorAs(b, f.process.Wait(), &killed)
		}
		b.StartTimer()
	}
	b.StopTimer()
	for _, name := range []string{"floor", "function"} {
		require.Len(b, worlds[name].list(), len(took[name]), "each start of the %s makes an object", name)
		require.Len(b, worlds[name].audit(""), 2*len(took[name]), "each start of the %s stores two audit events", name)
	}
	whole := milliseconds(median(took["function"]))
	b.ReportMetric(whole, "p50-ms")
	for _, name := range []string{"empty", "floor"} {
		b.ReportMetric(milliseconds(median(took[name])), "p50-"+name+"-ms")
		b.ReportMetric(whole/milliseconds(median(took[name])), "ratio-to-"+name)
	}
}

// start starts a prepared process and returns how long it took to answer 200 to
// an event.
func start(b *testing.B, f *fn, id string, body []byte) time.Duration {
	b.Helper()
	begun := time.Now()
	require.NoError(b, f.process.Start())
	for {
		status, _, err := client.Post(b.Context(), f.url, id, body)
		if err == nil && status == http.StatusOK {
			return time.Since(begun)
		}
		require.Less(b, time.Since(begun), patience, "%s", f.log)
		// Nothing tells when a process listens; asking without a pause would take its processor.
		time.Sleep(startResolution)
	}
}

// startResolution is how exact a start is measured; it leaves the process the
// processor meanwhile.
const startResolution = 200 * time.Microsecond

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
