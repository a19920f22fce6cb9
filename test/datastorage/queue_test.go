package datastorage

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

const (
	// soon is a timeout that a test waits for, never the time that a test gives.
	soon = 10 * time.Millisecond
	// never is longer than any test.
	never = time.Hour
)

// tick lets the queue's worker work as if that many intervals passed.
func (c *client) tick(intervals int) {
	q, interval := c.server.queue, c.server.options.QueueInterval
	for range intervals {
		now := c.begun.Add(time.Duration(c.ticks)*interval + interval/2)
		c.ticks++
		q.mu.Lock()
		// The next requests come between two ticks.
		q.now = func() time.Time { return now.Add(interval / 4) }
		q.mu.Unlock()
		q.tick(c.t.Context(), now)
	}
}

// hangUpIn sends a request whose client hangs up once the server has read it.
func (c *client) hangUpIn(path string, body []byte) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.server.Inject(Fault{Times: 1, Delay: never, Match: func([]byte) bool { cancel(); return true }})
	before := c.server.Queued()
	_, err := c.do(ctx, http.MethodPost, path, body, "Ce-Id", "one")
	require.ErrorIs(c.t, err, context.Canceled)
	require.Eventually(c.t, func() bool { return c.server.Queued() > before }, time.Minute, time.Millisecond)
}

func TestInterruptedWriteIsQueuedAndAccepted(t *testing.T) {
	tests := map[string]struct {
		options Options
		before  func(*Server)
		path    string
	}{
		"a single, its 5s pass while the table is locked": {Options{WriteTimeout: soon}, func(s *Server) { s.LockTable() }, events},
		"a single, its 5s pass while writes are locked":   {Options{WriteTimeout: soon}, func(s *Server) { s.LockWrites() }, events},
		"a single, its 5s pass as the database is slow":   {Options{WriteTimeout: soon}, func(s *Server) { s.SlowDown(never) }, events},
		"a single, the lock does not come in 10s":         {Options{LockTimeout: soon, WriteTimeout: never}, func(s *Server) { s.LockTable() }, events},
		"a batch, its 30s pass":                           {Options{BatchTimeout: soon}, func(s *Server) { s.SlowDown(never) }, batch},
		"a batch, the lock does not come in 10s":          {Options{LockTimeout: soon, BatchTimeout: never}, func(s *Server) { s.LockTable() }, batch},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.options.QueueInterval = never
			c := serve(t, tt.options)
			tt.before(c.server)
			body, want, n := event(t, mapping.Schema202601), `{"status":"accepted","message":"audit event queued for async processing"}`, 1
			if tt.path == batch {
				body, n = array(numbered(t, 3)...), 3
				want = `{"status":"accepted","message":"3 audit events queued for async processing via DLQ","count":3}`
			}
			a := c.must(http.MethodPost, tt.path, body)
			require.Equal(t, http.StatusAccepted, a.status)
			require.JSONEq(t, want, string(a.body))
			require.Empty(t, c.rows())
			require.Equal(t, n, c.server.Queued())
			c.server.StopQueue() // Closing the server would wait for the table.
		})
	}
}

// It is how a client with a short patience makes doubles: it hangs up, the server
// queues the event, and the client sends it again.
func TestClientThatHangsUpAndSendsAgainIsStoredTwice(t *testing.T) {
	for path, n := range map[string]int{events: 1, batch: 2} {
		t.Run(path, func(t *testing.T) {
			c := serve(t, Options{QueueInterval: never})
			body := event(t, mapping.Schema202601)
			if path == batch {
				body = array(numbered(t, n)...)
			}
			c.hangUpIn(path, body)
			require.Empty(t, c.rows())
			require.Eventually(t, func() bool { return c.server.Queued() == n }, time.Minute, time.Millisecond)
			require.Equal(t, http.StatusCreated, c.must(http.MethodPost, path, body, "Ce-Id", "one").status)
			require.Len(t, c.rows(), n, "what is queued cannot be asked for")
			c.tick(3)
			require.Len(t, c.rows(), 2*n)
			perID, err := c.server.RowsPerCEID()
			require.NoError(t, err)
			require.Equal(t, map[string]int{"one": 2 * n}, perID)
		})
	}
}

func TestQueueStoresSomeAtOnceAndTheOldestFirst(t *testing.T) {
	c := serve(t, Options{QueueInterval: never})
	c.server.Inject(Fault{Times: 1, Status: http.StatusAccepted})
	require.Equal(t, http.StatusAccepted, c.must(http.MethodPost, batch, array(numbered(t, 45)...)).status)
	// The worker looks at ten events in each of the first two intervals, which is
	// too early to store them. Then it looks at ten that are new and ten others.
	for i, want := range []int{0, 0, 20, 40, 45, 45} {
		c.tick(1)
		require.Equal(t, want, c.total(), "after interval %d", i+1)
		require.Equal(t, 45-want, c.server.Queued())
	}
	require.Equal(t, "20", c.rows()[0].CorrelationID, "the new ones come first")
	require.Equal(t, "0", c.rows()[10].CorrelationID)
}

// Events that can never be stored stay at the head of the queue for a day.
func TestTwentyPoisonedEventsHoldUpTheQueue(t *testing.T) {
	c := serve(t, Options{Schema: mapping.Schema202608, QueueInterval: never})
	good, poison := event(t, mapping.Schema202608), event(t, mapping.Schema202608, set("severity", long(21)))
	for range 20 {
		require.Equal(t, http.StatusAccepted, c.post(poison, "").status)
	}
	c.tick(4) // All have failed once and wait for five minutes.
	c.server.Inject(Fault{Times: 1, Status: http.StatusAccepted})
	require.Equal(t, http.StatusAccepted, c.post(good, "").status)
	c.tick(11)
	require.Zero(t, c.total(), "alone it would have been stored after three intervals")
	c.tick(1)
	require.Equal(t, 1, c.total())
}

func TestQueueWorksByItself(t *testing.T) {
	c := serve(t, Options{QueueInterval: time.Millisecond})
	c.server.Inject(Fault{Times: 1, Status: http.StatusAccepted})
	require.Equal(t, http.StatusAccepted, c.must(http.MethodPost, batch, array(numbered(t, 25)...)).status)
	require.Eventually(t, func() bool { return len(c.rows()) == 25 && c.server.Queued() == 0 }, time.Minute, time.Millisecond)
}

// The OpenAPI document allows what the table does not, and 202 is a lie then.
func TestEventThatTheTableRefusesIsNeverStored(t *testing.T) {
	c := serve(t, Options{Schema: mapping.Schema202608, QueueInterval: never})
	poison := event(t, mapping.Schema202608, set("severity", long(21)))
	require.Equal(t, http.StatusAccepted, c.post(poison, "").status)
	c.tick(2 + 10 + 30 + 120 + 480 + 2880)
	require.Equal(t, []int{1, 0}, []int{c.server.Queued(), c.server.Dead()}, "it is tried for more than a day")
	c.tick(30)
	require.Equal(t, []int{0, 1}, []int{c.server.Queued(), c.server.Dead()})
	require.Empty(t, c.rows())
}

func TestBatchWithAPoisonedEventIsStoredLaterAndWithoutIt(t *testing.T) {
	c := serve(t, Options{Schema: mapping.Schema202608, QueueInterval: never})
	good := event(t, mapping.Schema202608)
	a := c.must(http.MethodPost, batch, array(good, event(t, mapping.Schema202608, set("severity", long(21))), good))
	require.Equal(t, http.StatusAccepted, a.status)
	require.Empty(t, c.rows())
	c.tick(3)
	require.Len(t, c.rows(), 2)
	require.Equal(t, 1, c.server.Queued())
}

func TestQueueThatIsStoppedTakesNothing(t *testing.T) {
	c := serve(t, Options{QueueInterval: never})
	c.server.StopQueue()
	c.server.Inject(Fault{Times: 2, Status: http.StatusAccepted})
	requireProblem(t, c.post(event(t, mapping.Schema202601), ""), 500, "Failed to write audit event to database and DLQ")
	a := c.must(http.MethodPost, batch, array(numbered(t, 3)...))
	requireProblem(t, a, 500, "Batch write failed; 0 of 3 events queued to DLQ, 3 lost")
	c.server.StartQueue()
	require.Zero(t, c.server.Queued())
	requireStored(t, c.post(event(t, mapping.Schema202601), ""))
}

func TestQueueThatIsFullForgetsItsOldest(t *testing.T) {
	c := serve(t, Options{QueueInterval: never, QueueLength: 3})
	c.server.Inject(Fault{Times: 1, Status: http.StatusAccepted})
	a := c.must(http.MethodPost, batch, array(numbered(t, 5)...))
	require.Equal(t, http.StatusAccepted, a.status, "all five were accepted")
	c.tick(3)
	var ids []string
	for _, e := range c.rows() {
		ids = append(ids, e.CorrelationID)
	}
	require.Equal(t, []string{"2", "3", "4"}, ids)
}

func TestServerThatStopsStoresWhatIsQueued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := open(t, Options{Path: path, QueueInterval: never})
	require.NoError(t, s.queue.add(mustRow(t, s)))
	require.NoError(t, s.Close())
	rows, err := open(t, Options{Path: path}).Rows()
	require.NoError(t, err)
	require.Len(t, rows, 1)
}

// mustRow is a row that can be stored.
func mustRow(t *testing.T, s *Server) *row {
	t.Helper()
	e, err := s.check.newRow(t.Context(), decode[request](t, event(t, mapping.Schema202601)))
	require.NoError(t, err)
	return e
}

func TestLocksHoldReadsOrWrites(t *testing.T) {
	c := serve(t, Options{LockTimeout: soon, QueueInterval: never})
	unlock := c.server.LockTable()
	requireProblem(t, c.must(http.MethodGet, events, nil), 500, "Failed to query audit events from database")
	unlock()
	unlock()
	require.Zero(t, c.total())
	unlock = c.server.LockWrites()
	require.Zero(t, c.total())
	unlock()
	requireStored(t, c.post(event(t, mapping.Schema202601), ""))
}

func TestWriteWaitsForTheTable(t *testing.T) {
	c := serve(t, Options{WriteTimeout: never, LockTimeout: never})
	unlock := c.server.LockTable()
	c.server.Inject(Fault{Times: 1, Match: func([]byte) bool { time.AfterFunc(soon, unlock); return true }})
	requireStored(t, c.post(event(t, mapping.Schema202601), ""))
	require.Equal(t, 1, c.total())
}
