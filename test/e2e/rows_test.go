package e2e

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"onefire/mapping"
	"onefire/test/client"
	"onefire/test/datastorage"
)

var long = flag.Bool("long", false, "run the parts of TestARowForEachAuditEvent that take minutes")

const (
	// brokerTries and brokerPause are those of the Broker that is deployed: the first
	// delivery and eight more, with pauses that double. Then an event is a dead letter.
	brokerTries = 9
	brokerPause = 500 * time.Millisecond
	// brokerParallel is how many deliveries the Broker has under way.
	brokerParallel = 100
)

// deliveries sends events as a Broker does.
type deliveries struct {
	*world
	mu       sync.Mutex
	function *fn
	tries    atomic.Int64
}

func (d *deliveries) current() *fn {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.function
}

// replace kills the process and starts another one.
func (d *deliveries) replace(binary string) {
	old := d.current()
	require.NoError(d.t, old.process.Process.Kill())
	require.Error(d.t, old.process.Wait())
	fresh := d.serve(d.prepare(binary, "LOG_LEVEL=warn"))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.function = fresh
}

// event delivers one event; its error is that it is a dead letter.
func (d *deliveries) event(ctx context.Context, id, body string) error {
	m := client.Binary(id, []byte(body)).At(time.Now())
	var last any
	for try := range brokerTries {
		if try > 0 {
			time.Sleep(brokerPause << (try - 1)) // A Broker's pauses, and no wait for a condition.
		}
		d.tries.Add(1)
		status, answer, err := m.Post(ctx, brokerClient, d.current().url)
		if err == nil && status == http.StatusOK {
			return nil
		}
		last = fmt.Sprint(status, " ", answer, " ", err)
	}
	return fmt.Errorf("event %s is a dead letter: %v", id, last)
}

// TestARowForEachAuditEvent lets DataStorage do its worst while events of new alerts
// come in, and asks for two rows of each alert and for no dead letter.
func TestARowForEachAuditEvent(t *testing.T) {
	t.Parallel()
	binary := stripped(t)
	lock := func(d time.Duration) func(*deliveries, string) {
		return func(s *deliveries, _ string) {
			unlock := s.data.LockTable()
			time.AfterFunc(d, unlock)
		}
	}
	for name, row := range map[string]struct {
		events, alerts int
		trouble        func(s *deliveries, binary string)
		long           bool
	}{
		"nothing happens": {100, 1, func(*deliveries, string) {}, false},
		"the answers to 20 posts are lost after the write": {100, 1, func(s *deliveries, _ string) {
			s.data.Inject(datastorage.Fault{DropAnswer: true, Times: 20})
		}, false},
		"the table is locked for 8 s":                      {100, 1, lock(8 * time.Second), false},
		"the table is locked for 8 s, 100 alerts an event": {2, 100, lock(8 * time.Second), false},
		"the process is killed":                            {200, 1, func(s *deliveries, binary string) { s.replace(binary) }, false},
		"the process is killed while DataStorage writes": {100, 1, func(s *deliveries, binary string) {
			unlock := s.data.LockTable()
			time.Sleep(time.Second) // Posts get there, and no wait for a condition.
			s.replace(binary)
			unlock()
		}, false},
		"the table is locked for 20 s":                       {100, 1, lock(20 * time.Second), true},
		"the table is locked for 20 s, 100 alerts an event":  {2, 100, lock(20 * time.Second), true},
		"429 for a minute":                                   {200, 1, busy(time.Minute), true},
		"a storm of 2,000 events":                            {2000, 1, func(*deliveries, string) {}, true},
		"a storm of 2,000 events, and the process is killed": {2000, 1, kills(4), true},
	} {
		t.Run(name, func(t *testing.T) {
			if row.long && !*long {
				t.Skip("it takes minutes: run it with -long")
			}
			t.Parallel()
			s := &deliveries{world: newWorld(t, mapping.Schema202608)}
			s.function = s.serve(s.prepare(binary, "LOG_LEVEL=warn"))
			begun, before := time.Now(), s.requests.Load()
			var senders errgroup.Group
			senders.SetLimit(brokerParallel)
			var troubled sync.WaitGroup
			for i := range row.events {
				if i == row.events/4 {
					troubled.Go(func() { row.trouble(s, binary) })
				}
				alerts := make([]string, row.alerts)
				for j := range alerts {
					alerts[j] = firing("Rows", fmt.Sprintf("api-%d-%d", i, j))
				}
				senders.Go(func() error { return s.event(t.Context(), fmt.Sprint(i), webhook(alerts...)) })
			}
			require.NoError(t, senders.Wait())
			troubled.Wait()
			took, requests := time.Since(begun), s.requests.Load()-before

			s.data.Heal()
			want := 2 * row.events * row.alerts
			require.Eventually(t, func() bool { return s.data.Queued() == 0 }, patience, pollEvery)
			rows, err := s.data.RowsPerAuditID()
			require.NoError(t, err)
			twice := 0
			for _, n := range rows {
				if n > 1 {
					twice++
				}
			}
			t.Logf("%d alerts in %d events: %s, %.1f deliveries an event, %.2f requests to DataStorage an alert; %d audit events, %d of them twice",
				row.events*row.alerts, row.events, took.Round(100*time.Millisecond), float64(s.tries.Load())/float64(row.events),
				float64(requests)/float64(row.events*row.alerts), len(rows), twice)
			require.Len(t, rows, want)
			require.Zero(t, twice)
		})
	}
}

// busy answers each post 429 for a time.
func busy(d time.Duration) func(*deliveries, string) {
	return func(s *deliveries, _ string) {
		s.data.Inject(datastorage.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1"})
		time.AfterFunc(d, s.data.Heal)
	}
}

// kills replaces the process some times, two seconds apart.
func kills(n int) func(*deliveries, string) {
	return func(s *deliveries, binary string) {
		for range n {
			s.replace(binary)
			time.Sleep(2 * time.Second) // How long a process lives, and no wait for a condition.
		}
	}
}
