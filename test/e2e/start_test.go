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

// What packages allocate before main is the same at each start, which no time
// is; and it is what makes a start slow.
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
// RemediationRequest and its audit events; and how many times that is of what
// an empty server of the Functions Framework takes, which starts by turns with
// the function, because machines differ and their load changes.
func BenchmarkColdStart(b *testing.B) {
	binary, emptyBinary := stripped(b), strippedCommand(b, theEmptyServer)
	w := newWorld(b, mapping.Schema202601)
	var function, empty []time.Duration
	for b.Loop() {
		b.StopTimer()
		e := w.prepare(emptyBinary)
		empty = append(empty, start(b, e, nil))
		require.NoError(b, e.process.Process.Kill())
		var killed *exec.ExitError
		require.ErrorAs(b, e.process.Wait(), &killed)
		f := w.prepare(binary, "LOG_LEVEL=error")
		body := webhook(alert("firing", "alertname=Cold", fmt.Sprintf("pod=api-%d", len(function))))
		b.StartTimer()
		function = append(function, start(b, f, []byte(body)))
		b.StopTimer()
		w.stop(f)
		b.StartTimer()
	}
	b.StopTimer()
	require.Len(b, w.list(), len(function))
	b.ReportMetric(milliseconds(median(function)), "p50-ms")
	b.ReportMetric(milliseconds(median(empty)), "p50-empty-ms")
	b.ReportMetric(milliseconds(median(function))/milliseconds(median(empty)), "ratio-to-empty")
}

// start starts a prepared process and returns how long it took to answer 200.
func start(b *testing.B, f *fn, body []byte) time.Duration {
	b.Helper()
	begun := time.Now()
	require.NoError(b, f.process.Start())
	for {
		status, _, err := client.Post(b.Context(), f.url, "1", body)
		if err == nil && status == http.StatusOK {
			return time.Since(begun)
		}
		require.Less(b, time.Since(begun), patience, "%s", f.log)
		// The process under measurement is not listening yet.
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
