package function

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/function/receive"
)

// TestWhatIsStuckHoldsFewGoroutines sends more events than are admitted while
// the API server, and then the sink, takes connections and never answers.
func TestWhatIsStuckHoldsFewGoroutines(t *testing.T) {
	const (
		events = maxRequests + 88
		// connections is how many there are to either at once: maxCalls of dedup
		// and maxConnections of audit. Each has a goroutine that dials it, one
		// that reads, one that writes, one that watches its deadline, and one
		// that posts. While one that was given up goes, the next one is dialled.
		connections, perConnection = 2 * 64, 5
		// tooLate is when Knative's data plane gives up, and half as much again
		// for a machine with much to do.
		tooLate = 45 * time.Second
		// atOnce leaves time to a machine with much to do. An event that waits for
		// the slot of another waits longer, for no slot is free before the function
		// gives the sink up after 12 s.
		atOnce = 10 * time.Second
	)
	for name, row := range map[string]struct {
		// alertsEach are the alerts of each event, which hold up to places
		// goroutines.
		alertsEach, places int
		start              func(t *testing.T, url string) *Function
	}{
		"the API server": {20, maxSlots, func(t *testing.T, url string) *Function {
			kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
			require.NoError(t, os.WriteFile(kubeconfig, []byte(`{"clusters":[{"name":"c","cluster":{"server":"`+url+`"}}],
				"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}`), 0o600))
			f := New()
			require.NoError(t, f.Start(t.Context(), map[string]string{"AUDIT_SINK": "http://127.0.0.1:1", "KUBECONFIG": kubeconfig, "LOG_LEVEL": "error"}))
			return f
		}},
		// Their audit events fit into the queue.
		"the sink": {10, 0, func(t *testing.T, url string) *Function {
			f := newFixture()
			s, err := audit.New(audit.Options{URL: url})
			require.NoError(t, err)
			f.service.pipeline.audit.sink, f.service.observer.log = s, slog.New(slog.DiscardHandler)
			return f.Function
		}},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			// An event's own goroutine, which here is also its sender's, and those
			// that there are places for.
			bound := before + events + row.places + connections*perConnection
			stuck, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			go neverAnswer(stuck)
			f := row.start(t, "http://"+stuck.Addr().String())

			var answers [events]struct {
				*httptest.ResponseRecorder
				took time.Duration
			}
			var requests [events]*http.Request
			for i := range events {
				alerts := make([]string, row.alertsEach)
				for j := range alerts {
					alerts[j] = alert("firing", "alertname=A", fmt.Sprintf("pod=p-%d-%d", i, j))
				}
				answers[i].ResponseRecorder, requests[i] = httptest.NewRecorder(), binary(fmt.Sprint(i), webhook(alerts...))
			}
			var senders sync.WaitGroup
			for i := range events {
				senders.Go(func() {
					begun := time.Now()
					f.ServeHTTP(answers[i], requests[i])
					answers[i].took = time.Since(begun)
				})
			}
			held, peak := goroutines(senders.Wait)

			admitted, slowest, slowestRefusal := 0, time.Duration(0), time.Duration(0)
			for _, a := range answers {
				require.Equal(t, http.StatusServiceUnavailable, a.Code)
				slowest = max(slowest, a.took)
				if strings.Contains(a.Body.String(), receive.ErrBusy.Error()) {
					slowestRefusal = max(slowestRefusal, a.took)
				} else {
					require.Contains(t, a.Body.String(), "alerts are not settled")
					admitted++
				}
			}
			t.Logf("%d events, %d of them admitted: all answered within %s, the others within %s; %d goroutines held, bound %d, peak %d",
				events, admitted, slowest.Round(time.Millisecond), slowestRefusal.Round(time.Millisecond), held, bound, peak)
			// On a busy machine the first are answered before the last are sent.
			require.GreaterOrEqual(t, admitted, maxRequests)
			require.Less(t, slowest, tooLate)
			require.Less(t, slowestRefusal, atOnce)
			require.LessOrEqual(t, held, bound)
			require.Greater(t, held, max(row.places, maxRequests), "the test fills what may be filled")

			require.NoError(t, f.Stop(t.Context()))
			require.NoError(t, stuck.Close())
			require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 10*time.Second, 10*time.Millisecond,
				"goroutines stay: %d before", before)
		})
	}
}

// neverAnswer takes connections and does nothing with them until the listener
// is closed.
func neverAnswer(l net.Listener) {
	var taken []net.Conn
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		taken = append(taken, c)
	}
	for _, c := range taken {
		c.Close()
	}
}

// goroutines counts them while work runs: the most that are there for 100 looks in a row, and
// the most at any moment. A deadline that ends has a goroutine for a moment, and thousands
// may end at once: that is not what anything holds. On a busy machine they take seconds, but
// the looks take as much longer: the scheduler lets each goroutine run in its turn.
func goroutines(work func()) (held, peak int) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for looks, least := 0, math.MaxInt; ; {
		now := runtime.NumGoroutine()
		least, peak = min(least, now), max(peak, now)
		if looks++; looks == 100 {
			held, looks, least = max(held, least), 0, math.MaxInt
		}
		select {
		case <-done:
			return held, peak
		case <-tick.C:
		}
	}
}

// The server reads on in a body before it sends an answer that does not need
// it. A slow sender must not hold that up, nor the request's place.
func TestASlowSenderIsAnsweredWhateverTheAnswer(t *testing.T) {
	const post, length, chunks = "POST / HTTP/1.1\r\nCe-Id: 1\r\n", "Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"
	nothing := func(*fixture) {}
	memory := func(bytes int64) func(*fixture) {
		b := bounds
		b.Bodies = bytes
		return func(f *fixture) { f.receiver = receive.New(b) }
	}
	for name, row := range map[string]struct {
		prepare func(f *fixture)
		request string
		piece   string
		status  int
		within  time.Duration
	}{
		"a body of known length":          {nothing, post + length, "x", 503, receive.BodyTimeout},
		"a chunked body":                  {nothing, post + chunks, "1\r\nx\r\n", 503, receive.BodyTimeout},
		"a body where none belongs":       {nothing, "GET / HTTP/1.1\r\n" + length, "x", 405, 0},
		"a chunked one where none does":   {nothing, "GET / HTTP/1.1\r\n" + chunks, "1\r\nx\r\n", 405, 0},
		"a function that stops":           {func(f *fixture) { _ = f.receiver.Close(context.Background()) }, post + length, "x", 503, 0},
		"a function that starts":          {func(f *fixture) { f.Function.service.Store(nil) }, post + length, "x", 503, 0},
		"no memory for any body":          {memory(0), post + length, "x", 503, 0},
		"no memory for a chunked body":    {memory(0), post + chunks, "1\r\nx\r\n", 503, 0},
		"no memory after the first bytes": {memory(2), post + length, "x", 503, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const pace = 500 * time.Millisecond
				f := newFixture()
				row.prepare(f)
				here, there := net.Pipe()
				server := &http.Server{Handler: f}
				go func() { _ = server.Serve(&single{conn: there}) }()
				require.NoError(t, here.SetDeadline(time.Now().Add(stuckAfter)))
				begun := time.Now()
				var sender sync.WaitGroup
				sender.Go(func() {
					_, err := io.WriteString(here, row.request+"Host: onefire\r\n\r\n")
					for ; err == nil; _, err = io.WriteString(here, row.piece) {
						pass(pace)
					}
				})
				defer sender.Wait()
				defer here.Close()
				defer server.Close()
				resp, err := http.ReadResponse(bufio.NewReader(here), nil)
				require.NoError(t, err)
				defer resp.Body.Close()
				require.Equal(t, row.status, resp.StatusCode)
				require.LessOrEqual(t, time.Since(begun), row.within+3*pace)
				synctest.Wait()
				require.Zero(t, f.receiver.Oldest(), "no request is left")
			})
		})
	}
}

// single is a listener with one connection.
type single struct{ conn net.Conn }

func (s *single) Accept() (net.Conn, error) {
	c := s.conn
	if s.conn = nil; c == nil {
		return nil, errors.New("there was one connection")
	}
	return c, nil
}

func (s *single) Addr() net.Addr { return &net.TCPAddr{} }

func (s *single) Close() error { return nil }
