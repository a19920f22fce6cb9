package alternatives

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEachOtherWayBreaksInSomeSchedule plays schedules that leave nothing to
// chance: creates wait until every process has seen the past.
func TestEachOtherWayBreaksInSomeSchedule(t *testing.T) {
	schedules := []struct {
		name, question string
		play           func(*place) string
		// good is the right answer, and bad what other ways come to; what is not
		// named does well.
		good string
		bad  map[string]string
	}{
		{"ten processes have seen nothing when the first of them creates", "active objects", (*place).race, "1",
			map[string]string{"List, generateName": "10", "cache, generateName": "10", "generateName": "10"}},
		{"one event is delivered five times, one after the other", "occurrences, objects", (*place).redelivery, "1 on 1",
			map[string]string{"List, generateName": "5 on 1", "cache, generateName": "", "generateName": "5 on 5", fixed: "5 on 1", "List, name by predecessor": "5 on 1"}},
		{"an alert comes after the repair is completed", "active objects", (*place).recurrence, "1",
			map[string]string{fixed: "0"}},
		{"retention deletes the last object between the checks of two processes", "active objects", (*place).retention, "1",
			map[string]string{"List, generateName": "2", "cache, generateName": "2", "generateName": "2", "List, name by predecessor": "2"}},
	}
	var table strings.Builder
	header(&table, "schedule")
	broken := map[string]bool{}
	for _, s := range schedules {
		fmt.Fprintf(&table, "| %s: %s |", s.name, s.question)
		for _, w := range ways {
			got := s.play(newPlace(t, w))
			want, breaks := s.bad[w.name]
			switch {
			case !breaks:
				require.Equal(t, s.good, got, "%s, when %s", w.name, s.name)
			case want == "": // How it breaks is a matter of luck.
				require.NotEqual(t, s.good, got, "%s, when %s", w.name, s.name)
			default:
				require.Equal(t, want, got, "%s, when %s", w.name, s.name)
			}
			if got != s.good {
				broken[w.name] = true
				got = "**" + got + "**"
			}
			fmt.Fprintf(&table, " %s |", got)
		}
		table.WriteString("\n")
	}
	for _, w := range ways {
		require.Equal(t, w.name != onefire, broken[w.name], w.name)
	}
	publish(t, "schedules", table.String())
}

func (p *place) race() string {
	const processes = 10
	g := newGate(processes)
	var all sync.WaitGroup
	for i := range processes {
		d := p.process(g)
		all.Go(func() { p.deliver(d, fmt.Sprint(i), 0) })
	}
	all.Wait()
	return fmt.Sprint(p.result(1).active)
}

func (p *place) redelivery() string {
	d := p.process(nil)
	for range 5 {
		p.deliver(d, "same", 0)
	}
	r := p.result(1)
	return fmt.Sprintf("%d on %d", r.counted, r.objects)
}

func (p *place) recurrence() string {
	p.deliver(p.process(nil), "first", 0)
	p.complete()
	p.deliver(p.process(nil), "second", 0)
	return fmt.Sprint(p.result(1).active)
}

func (p *place) retention() string {
	p.deliver(p.process(nil), "first", 0)
	p.complete()
	g := newGate(2)
	var both sync.WaitGroup
	d := p.process(g)
	both.Go(func() { p.deliver(d, "second", 0) })
	require.Eventually(p.t, func() bool { return g.missing.Load() == 1 }, patience, time.Millisecond)
	for _, o := range p.list() {
		require.NoError(p.t, p.objects.Delete(p.t.Context(), o.GetName(), metav1.DeleteOptions{}))
	}
	p.deliver(p.process(g), "third", 0)
	both.Wait()
	return fmt.Sprint(p.result(1).active)
}

// TestOnefireKeepsCountInAStorm measures all ways, and asks of Onefire alone:
// how often the others lose is a matter of luck.
func TestOnefireKeepsCountInAStorm(t *testing.T) {
	const fingerprints, alerts, repeats, workers = 20, 10, 60, 16
	var table strings.Builder
	header(&table, "")
	rows := make([]string, 10)
	for _, w := range ways {
		alone := newPlace(t, w)
		d := alone.process(nil)
		alone.deliver(d, "first", 0)
		first := alone.calls.Swap(0)
		alone.deliver(d, "second", 0)
		second := alone.calls.Load()

		burst := newPlace(t, w)
		took := burst.storm(fingerprints, alerts)
		b := burst.result(fingerprints)

		repeated := newPlace(t, w)
		repeatsTook := repeated.repeats(repeats, workers)
		r := repeated.result(1)
		if w.name == onefire {
			require.Equal(t, []int64{3, 2}, []int64{first, second}, "calls")
			require.Zero(t, b.torn)
			require.Zero(t, burst.letters.Load()+repeated.letters.Load())
			require.Equal(t, fingerprints, b.objects)
			require.EqualValues(t, fingerprints*alerts, b.counted)
			require.Equal(t, 1, r.objects)
			require.EqualValues(t, repeats+1, r.counted)
		}
		for i, cell := range []string{
			fmt.Sprintf("%d, %d", first, second),
			fmt.Sprintf("%d of %d, up to %d", b.torn, fingerprints, b.worst),
			fmt.Sprint(fingerprints*alerts - b.counted),
			fmt.Sprintf("%.1f", float64(burst.calls.Load())/(fingerprints*alerts)),
			fmt.Sprint(burst.failures.Load()),
			fmt.Sprintf("%.1f s", took.Seconds()),
			fmt.Sprint(r.objects),
			fmt.Sprintf("%.1f", float64(repeated.calls.Load())/repeats),
			fmt.Sprintf("%d, %d", repeated.failures.Load(), repeated.letters.Load()),
			fmt.Sprintf("%.1f s", repeatsTook.Seconds()),
		} {
			rows[i] += " " + cell + " |"
		}
	}
	for i, label := range []string{
		"API calls of a new alert, of a repeat, alone",
		"storm: fingerprints without exactly one active object",
		"storm: occurrences lost",
		"storm: API calls per alert",
		"storm: deliveries that failed, and came again",
		"storm: all done after",
		"60 repeats: objects",
		"60 repeats: API calls per alert",
		"60 repeats: deliveries that failed and came again; dead letters after ten times",
		"60 repeats: all done after",
	} {
		fmt.Fprintf(&table, "| %s |%s\n", label, rows[i])
	}
	publish(t, "storm", table.String())
}

// storm sends the first alerts of many fingerprints, 4 ms apart, to one process.
func (p *place) storm(fingerprints, alerts int) time.Duration {
	d := p.process(nil)
	var all sync.WaitGroup
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for i := range alerts {
		for n := range fingerprints {
			all.Go(func() { p.deliver(d, fmt.Sprintf("%d-%d", n, i), n) })
		}
		<-tick.C
	}
	all.Wait()
	return time.Since(began)
}

// repeats sends one alert often, after its object is there.
func (p *place) repeats(repeats, workers int) time.Duration {
	d := p.process(nil)
	p.deliver(d, "first", 0)
	p.calls.Store(0)
	ids := make(chan int)
	var all sync.WaitGroup
	began := time.Now()
	for range workers {
		all.Go(func() {
			for id := range ids {
				p.deliver(d, fmt.Sprint(id), 0)
			}
		})
	}
	for id := range repeats {
		ids <- id
	}
	close(ids)
	all.Wait()
	return time.Since(began)
}

func header(table *strings.Builder, first string) {
	fmt.Fprintf(table, "| %s |", first)
	for _, w := range ways {
		fmt.Fprintf(table, " %s |", w.name)
	}
	fmt.Fprintf(table, "\n|---|%s\n", strings.Repeat("---|", len(ways)))
}

// publish prints a table, and with -update writes it into its place on the page.
func publish(t *testing.T, name, table string) {
	t.Helper()
	t.Log("\n" + table)
	if !*update {
		return
	}
	const page = "../../docs/evidence.md"
	content, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(content), "<!-- "+name+" -->\n")
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, "<!-- end -->\n")
	require.True(t, ok)
	whole := before + "<!-- " + name + " -->\n" + table + "<!-- end -->\n" + after
	require.NoError(t, os.WriteFile(page, []byte(whole), 0o644)) //nolint:gosec // It is a page of documentation.
}
