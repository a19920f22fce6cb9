package audit

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// hanging is a network that holds each request until it is let go.
func hanging(underWay *atomic.Int64, let <-chan struct{}) transport {
	return func(r *http.Request) (*http.Response, error) {
		underWay.Add(1)
		defer underWay.Add(-1)
		select {
		case <-let:
			return responded(http.StatusAccepted, ""), nil
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

func TestPostsToACloudEventsSinkAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var underWay atomic.Int64
		let := make(chan struct{})
		s := over(t, hanging(&underWay, let))
		events := make([]Event, 2*maxConnections)
		for i := range events {
			events[i] = another()
		}
		wait := s.Send(t.Context(), events)
		synctest.Wait()
		require.EqualValues(t, maxConnections, underWay.Load())
		close(let)
		requireAll(t, wait())
		require.Equal(t, maxConnections, int(s.pace.size), "202 says that a Broker has it")
	})
}

// A request that is stuck is given up. DataStorage ends by itself before that.
func TestHowLongARequestMayTake(t *testing.T) {
	for reason, row := range map[string]struct {
		url    string
		events []Event
		most   time.Duration
	}{
		"one event to DataStorage":  {storeURL, entries(1), singleTimeout},
		"a batch":                   {storeURL, entries(2), batchTimeout},
		"a question":                {storeURL, again(entries(1)), askTimeout},
		"one to a CloudEvents sink": {"http://sink.test/events", entries(1), attemptTimeout},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var took []time.Duration
				s, err := New(Options{URL: row.url})
				require.NoError(t, err)
				t.Cleanup(s.Close)
				s.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
					begun := time.Now()
					<-r.Context().Done()
					took = append(took, time.Since(begun))
					return nil, r.Context().Err()
				})
				require.Equal(t, unavailable, verdictOf(s.Deliver(t.Context(), row.events)[0]))
				require.Equal(t, row.most, took[0])
			})
		})
	}
}

// The events of one alert are in order, and all others wait for nobody.
func TestWhichEventsGoOneByOneToACloudEventsSink(t *testing.T) {
	for reason, row := range map[string]struct {
		alerts []string
		atOnce int64
	}{
		"of one alert":     {[]string{"a", "a"}, 1},
		"of two alerts":    {[]string{"a", "b"}, 2},
		"of no alert each": {[]string{"", ""}, 2},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var underWay atomic.Int64
				let := make(chan struct{})
				s, events := over(t, hanging(&underWay, let)), entries(2)
				for i := range events {
					events[i].Alert = row.alerts[i]
				}
				wait := s.Send(t.Context(), events)
				synctest.Wait()
				require.Equal(t, row.atOnce, underWay.Load())
				close(let)
				requireAll(t, wait())
			})
		})
	}
}

func TestARequestThatCannotBeMadeRefusesItsEvent(t *testing.T) {
	require.Equal(t, refused, verdictOf(one(t.Context(), open(t, Options{URL: "://"}), sample())))
}

func TestARefusalSaysWhoRefused(t *testing.T) {
	for reason, row := range map[string]struct{ name, says string }{
		"the source's sink": {"the server", "the server refused the event for good: 409 no"},
		"the audit sink":    {"", "the audit sink refused the event for good: 409 no"},
	} {
		t.Run(reason, func(t *testing.T) {
			c, err := NewClient(ClientOptions{Name: row.name})
			require.NoError(t, err)
			c.Wrap(func(http.RoundTripper) http.RoundTripper { return plays(&[]time.Time{}, says(409, "no")) })
			require.EqualError(t, c.Deliver(t.Context(), get("http://server.test", nil), Retry{Tries: 3}), row.says)
		})
	}
}

func TestAStatusThatPassesForOneServerIsTriedAgain(t *testing.T) {
	for reason, row := range map[string]struct {
		retried []int
		want    verdict
		posts   int
	}{
		"it passes":       {[]int{409}, taken, 2},
		"it does not":     {nil, refused, 1},
		"another passes ": {[]int{404}, refused, 1},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := NewClient(ClientOptions{Name: "the server", Retried: row.retried})
				require.NoError(t, err)
				var times []time.Time
				network := plays(&times, status(409), status(200))
				c.Wrap(func(http.RoundTripper) http.RoundTripper { return network })
				err = c.Deliver(t.Context(), get("http://server.test", nil), Retry{Tries: 3, FirstPause: time.Second, MaxPause: time.Second})
				require.Equal(t, row.want, verdictOf(err))
				require.Len(t, times, row.posts)
			})
		})
	}
}

func TestPausesOfADeliveryAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const first, most = 100 * time.Millisecond, 300 * time.Millisecond
		c, err := NewClient(ClientOptions{Name: "the server"})
		require.NoError(t, err)
		var times []time.Time
		network := plays(&times, status(503))
		c.Wrap(func(http.RoundTripper) http.RoundTripper { return network })
		r := Retry{Tries: 20, FirstPause: first, MaxPause: most}
		require.ErrorContains(t, c.Deliver(t.Context(), get("http://server.test", nil), r), "503")
		require.Len(t, times, 20)
		longest := time.Duration(0)
		for i := range times[1:] {
			longest = max(longest, times[i+1].Sub(times[i]))
		}
		require.InDelta(t, first, times[1].Sub(times[0]), float64(first)/2)
		require.Greater(t, longest, most/2)
		require.LessOrEqual(t, longest, most*3/2)

		times, r.Tries, r.MaxElapsed = nil, 100, 2*time.Second
		begun := time.Now()
		require.ErrorContains(t, c.Deliver(t.Context(), get("http://server.test", nil), r), "503")
		require.LessOrEqual(t, time.Since(begun), r.MaxElapsed)
		require.Greater(t, time.Since(begun), r.MaxElapsed-most*3/2)
	})
}

func TestWhyARequestWasGivenUpIsSaid(t *testing.T) {
	sink := serve(t, status(http.StatusOK))
	c, err := NewClient(ClientOptions{Name: "the server"})
	require.NoError(t, err)
	defer c.Close()
	for reason, row := range map[string]struct {
		cause error
		says  string
	}{
		"with a cause":    {errClosed, "the server is not available: " + errClosed.Error()},
		"without a cause": {nil, "the server is not available: Get \"" + sink.URL + "\": context canceled"},
	} {
		t.Run(reason, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(row.cause)
			resp, err := c.Do(ctx, get(sink.URL, nil))
			if resp != nil {
				resp.Body.Close()
			}
			require.EqualError(t, err, row.says)
		})
	}
}
