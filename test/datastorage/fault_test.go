package datastorage

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// try posts an event, and tells whether there was an answer.
func (c *client) try(id string) (answer, error) {
	return c.do(c.t.Context(), http.MethodPost, events, event(c.t, mapping.Schema202601), "Ce-Source", "onefire", "Ce-Id", id)
}

func TestStatusIsAnsweredInsteadOfStoring(t *testing.T) {
	for _, status := range []int{400, 401, 403, 413, 429, 500, 503} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			c := serve(t, Options{})
			c.server.Inject(Fault{Times: 1, Status: status, RetryAfter: "7"})
			a := c.post(event(t, mapping.Schema202601), "one")
			requireProblem(t, a, status, "injected fault")
			require.Equal(t, "7", a.header.Get("Retry-After"))
			require.Zero(t, c.total())
			requireStored(t, c.post(event(t, mapping.Schema202601), "one"))
		})
	}
}

func TestNoRetryAfterUnlessItIsAskedFor(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Status: http.StatusServiceUnavailable})
	require.NotContains(t, c.post(event(t, mapping.Schema202601), "one").header, "Retry-After")
}

func TestAcceptedForLaterIsNotStoredYet(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: 2, Status: http.StatusAccepted})
	a := c.post(event(t, mapping.Schema202601), "one")
	require.Equal(t, http.StatusAccepted, a.status)
	require.JSONEq(t, `{"status":"accepted","message":"audit event queued for async processing"}`, string(a.body))
	a = c.must(http.MethodPost, batch, array(numbered(t, 2)...))
	require.Equal(t, http.StatusAccepted, a.status)
	require.JSONEq(t, `{"status":"accepted","message":"2 audit events queued for async processing via DLQ","count":2}`, string(a.body))
	require.Zero(t, c.total())
	require.Equal(t, 3, c.server.Queued())
}

func TestAcceptedForLaterIsCheckedAsWell(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Status: http.StatusAccepted})
	c.requireRefused(c.post(event(t, mapping.Schema202601, unset("version")), ""), "version")
}

func TestRefuseHangsUpAndStoresNothing(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: 1, Refuse: true})
	_, err := c.try("one")
	require.Error(t, err)
	require.Zero(t, c.total())
	requireStored(t, c.post(event(t, mapping.Schema202601), "one"))
}

// It is the worst that can happen to a sender: it cannot know, and if it sends
// the same again, the server stores it again.
func TestDropAnswerStoresAndHangsUp(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: 1, DropAnswer: true})
	_, err := c.try("one")
	require.Error(t, err)
	require.Equal(t, 1, c.total())
	requireStored(t, c.post(event(t, mapping.Schema202601), "one"))
	perID, err := c.server.RowsPerCEID()
	require.NoError(t, err)
	require.Equal(t, map[string]int{"one": 2}, perID)
}

func TestDropAnswerOfABatchStoresAllOfIt(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: 1, DropAnswer: true})
	_, err := c.do(t.Context(), http.MethodPost, batch, array(numbered(t, 3)...))
	require.Error(t, err)
	require.Equal(t, 3, c.total())
}

func TestDelayHoldsTheRequestBack(t *testing.T) {
	const delay = 20 * time.Millisecond
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: 1, Delay: delay})
	begun := time.Now()
	requireStored(t, c.post(event(t, mapping.Schema202601), "one"))
	require.GreaterOrEqual(t, time.Since(begun), delay)
}

func TestDelayEndsWhenTheClientGivesUp(t *testing.T) {
	c := serve(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	c.server.Inject(Fault{Times: 1, Delay: time.Hour, Match: func([]byte) bool {
		cancel()
		return true
	}})
	_, err := c.do(ctx, http.MethodPost, events, event(t, mapping.Schema202601), "Ce-Source", "onefire", "Ce-Id", "one")
	require.ErrorIs(t, err, context.Canceled)
	c.http.Close() // It waits for what still runs.
	require.Empty(t, c.rows())
	require.Equal(t, 1, c.server.Queued(), "the server still has the event")
}

func TestDelayComesBeforeTheRest(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: 1, Delay: time.Millisecond, Status: http.StatusServiceUnavailable})
	requireProblem(t, c.post(event(t, mapping.Schema202601), "one"), http.StatusServiceUnavailable, "injected")
	require.Zero(t, c.total())
}

func TestFaultWearsOff(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: 2, Status: http.StatusServiceUnavailable})
	body := event(t, mapping.Schema202601)
	for _, want := range []int{503, 503, 201, 201} {
		require.Equal(t, want, c.post(body, "").status)
	}
}

func TestFaultStaysUntilItIsHealed(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Status: http.StatusServiceUnavailable})
	c.server.Inject(Fault{Refuse: true})
	body := event(t, mapping.Schema202601)
	for range 10 {
		require.Equal(t, http.StatusServiceUnavailable, c.post(body, "").status)
	}
	c.server.Heal()
	requireStored(t, c.post(body, ""))
}

func TestALastingFaultIsNotHealed(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Refuse: true})
	c.server.Inject(Fault{Status: http.StatusBadRequest, Lasting: true})
	c.server.Heal()
	require.Equal(t, http.StatusBadRequest, c.post(event(t, mapping.Schema202601), "").status)
}

func TestFaultBefallsWhatItMatches(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: 1, Status: http.StatusTooManyRequests, Match: func(body []byte) bool {
		return bytes.Contains(body, []byte(mapping.RequestCreated))
	}})
	created, received := correlated(t, "a", mapping.RequestCreated), correlated(t, "a", mapping.SignalReceived)
	requireStored(t, c.post(received, "1"))
	require.Equal(t, http.StatusTooManyRequests, c.post(created, "2").status)
	requireStored(t, c.post(received, "3"))
	requireStored(t, c.post(created, "4"))
}

func TestTheFirstFaultThatMatchesBefalls(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Status: http.StatusTeapot, Match: func([]byte) bool { return false }})
	c.server.Inject(Fault{Times: 1, Status: http.StatusTooManyRequests})
	c.server.Inject(Fault{Times: 1, Status: http.StatusServiceUnavailable})
	body := event(t, mapping.Schema202601)
	for _, want := range []int{429, 503, 201} {
		require.Equal(t, want, c.post(body, "").status)
	}
}

func TestFaultsAreOfPostsAlone(t *testing.T) {
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: 1, Refuse: true})
	require.Zero(t, c.total())
	require.Equal(t, http.StatusOK, c.must(http.MethodGet, "/healthz", nil).status)
	_, err := c.try("one")
	require.Error(t, err, "the query did not use it up")
}

func TestFaultBefallsAsOftenAsSaid(t *testing.T) {
	const senders, times = 20, 7
	c := serve(t, Options{})
	c.server.Inject(Fault{Times: times, Status: http.StatusServiceUnavailable})
	body := event(t, mapping.Schema202601)
	var (
		answers [senders]answer
		errs    [senders]error
		wg      sync.WaitGroup
	)
	for i := range senders {
		wg.Go(func() { answers[i], errs[i] = c.do(t.Context(), http.MethodPost, events, body) })
	}
	wg.Wait()
	count := map[int]int{}
	for i := range senders {
		require.NoError(t, errs[i])
		count[answers[i].status]++
	}
	require.Equal(t, map[int]int{503: times, 201: senders - times}, count)
	require.Equal(t, senders-times, c.total())
}
