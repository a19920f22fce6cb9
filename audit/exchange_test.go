package audit

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

// exchanged makes one request of a sink.
func exchanged(s *Sink) (status int, err error) {
	return s.exchange(singleTimeout, get(storeURL, nil), nil)
}

func TestWhatAnAnswerSaysOfTheSink(t *testing.T) {
	for name, row := range map[string]struct {
		code      int
		succeeded bool
		limit     float64 // requests a second
	}{
		"it did what it was asked for": {200, true, maxRequests},
		"it refused":                   {400, true, maxRequests},
		"it is away":                   {503, false, maxRequests},
		"it takes no more":             {429, false, maxRequests / 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t, before: func(*http.Request, int) *http.Response { return responded(row.code, "") }}
				s := d.process()
				pass(time.Second)
				status, _ := exchanged(s)
				require.Equal(t, row.code, status)
				require.Equal(t, row.succeeded, s.succeeded.Equal(time.Now()))
				require.InDelta(t, row.limit, float64(s.pace.requests.Limit()), 0)
			})
		})
	}
}

// A request waits for its place among those of a second, and for a sink that is away for
// a short time; not for one that is away for longer.
func TestWhenARequestBegins(t *testing.T) {
	for name, row := range map[string]struct {
		before, away, waits time.Duration
		made                bool
	}{
		"at once":                         {0, 0, 0, true},
		"when its turn is":                {2 * time.Second / maxRequests, 0, 2 * time.Second / maxRequests, true},
		"when the sink asked for it":      {0, time.Second, time.Second, true},
		"the later of both":               {2 * time.Second / maxRequests, time.Second, time.Second, true},
		"its turn comes after the pause":  {time.Second, time.Second / 2, time.Second, true},
		"the longest pause":               {0, maxPause, maxPause, true},
		"not at all, which is said soon":  {0, maxPause + 1, 0, false},
		"not at all, and has no turn yet": {time.Second, maxPause + 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t, before: func(*http.Request, int) *http.Response { return responded(200, "") }}
				s, begun := d.process(), time.Now()
				if row.before > 0 {
					for s.pace.next(begun).Before(begun.Add(row.before)) {
						s.pace.reserve(begun)
					}
				}
				s.pace.until = begun.Add(row.away)
				_, err := exchanged(s)
				require.Equal(t, row.waits, time.Since(begun))
				if row.made {
					require.NoError(t, err)
					require.Len(t, d.seen(), 1)
					return
				}
				require.EqualError(t, err, "the audit sink is not available: nothing is sent until "+
					begun.Add(row.away).UTC().Format(time.RFC3339)+", as it asked")
				var no *UnavailableError
				require.ErrorAs(t, err, &no)
				require.False(t, no.doubtful())
				require.Empty(t, d.seen())
			})
		})
	}
}

func TestARequestThatWaitsEndsWithTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		s, begun := d.process(), time.Now()
		s.pace.until = begun.Add(maxPause)
		time.AfterFunc(time.Second, s.cancel)
		_, err := exchanged(s)
		require.Equal(t, time.Second, time.Since(begun))
		require.EqualError(t, err, "the audit sink is not available: "+errClosed.Error())
		var no *UnavailableError
		require.ErrorAs(t, err, &no)
		require.False(t, no.doubtful())
		require.Empty(t, d.seen())
	})
}

// The items of a refused batch wait, and no caller is told that they are under way.
func TestTheItemsOfARefusedBatchWait(t *testing.T) {
	s := held(t)
	var batch []*item
	for range 2 * splitBatch {
		batch = append(batch, s.queued(&item{underWay: true}))
	}
	s.pending = nil
	require.True(t, s.split(batch, http.StatusBadRequest, &RefusedError{}))
	require.Equal(t, batch, s.pending)
	for _, it := range batch {
		require.Equal(t, []any{false, 2}, []any{it.underWay, it.most})
	}
}

// Those who wait are told at once that the process stops.
func TestClosingEndsWhatWaits(t *testing.T) {
	s := held(t)
	first, second := s.queued(&item{}), s.queued(&item{})
	s.Close()
	require.ErrorIs(t, first.err, errClosed)
	require.ErrorIs(t, second.err, errClosed)
}

func TestARequestOfNoEventIsRefused(t *testing.T) {
	_, err := single(storeURL, event.New())(t.Context())
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Answer, "id: MUST be a non-empty string")
}

// closing is a body that knows whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// A probe reads half of a long answer, and lets its connection go.
func TestAProbeClosesWhatItReads(t *testing.T) {
	body := &closing{Reader: strings.NewReader(strings.Repeat("x", 2*maxNote))}
	d := &store{t: t, before: func(*http.Request, int) *http.Response {
		return &http.Response{StatusCode: http.StatusForbidden, Body: body}
	}}
	require.ErrorContains(t, d.process().Ready(t.Context()), strings.Repeat("x", maxNote))
	require.True(t, body.closed)
}

// Without a token a second question would have the same answer.
func TestAProbeWithoutATokenIsMadeOnce(t *testing.T) {
	d := &store{t: t, before: func(*http.Request, int) *http.Response { return responded(http.StatusUnauthorized, "") }}
	require.ErrorContains(t, d.process().Ready(t.Context()), "401")
	require.Len(t, d.seen(), 1)
}

func TestAnEventWithAllOfTheSinksExtensions(t *testing.T) {
	out, err := sample().cloudEvent(map[string]string{"one": "1", "two": "2"})
	require.NoError(t, err)
	require.Equal(t, []any{"1", "2"}, []any{out.Extensions()["one"], out.Extensions()["two"]})
	e := sample()
	e.Data = make(chan int)
	_, err = e.cloudEvent(nil)
	require.ErrorContains(t, err, "encoding audit event gateway.signal.received: ")
}

func TestATransportIsAsItsOptionsSay(t *testing.T) {
	o := ClientOptions{ConnectTimeout: 2 * time.Second, PingAfter: 3 * time.Second}
	tr := newTransport(o, nil)
	require.Equal(t, []time.Duration{o.ConnectTimeout, o.PingAfter, o.PingAfter},
		[]time.Duration{tr.TLSHandshakeTimeout, tr.HTTP2.SendPingTimeout, tr.HTTP2.PingTimeout})
}
