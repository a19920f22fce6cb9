package audit

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"
)

// verdict is what a delivery comes to.
type verdict int

const (
	taken verdict = iota
	refused
	unavailable
)

func verdictOf(err error) verdict {
	var r *RefusedError
	switch {
	case err == nil:
		return taken
	case errors.As(err, &r):
		return refused
	default:
		return unavailable
	}
}

func TestDeliver(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	tests := map[string]struct {
		answers  []answer
		want     verdict
		attempts int
	}{
		"200 is a success":                        {[]answer{status(200)}, taken, 1},
		"201 says that it is stored":              {[]answer{status(201)}, taken, 1},
		"202 is accepted for later, a success":    {[]answer{status(202)}, taken, 1},
		"204 is what a Broker may say":            {[]answer{status(204)}, taken, 1},
		"a long answer does not hurt":             {[]answer{says(201, long)}, taken, 1},
		"half an answer is of no use, nor needed": {[]answer{half(201)}, taken, 1},

		"429 passes":                            {[]answer{status(429), status(201)}, taken, 2},
		"429 with seconds passes":               {[]answer{status(429, "Retry-After", "0"), status(201)}, taken, 2},
		"429 with a date passes":                {[]answer{status(429, "Retry-After", past), status(201)}, taken, 2},
		"503 with seconds passes":               {[]answer{status(503, "Retry-After", "0"), status(201)}, taken, 2},
		"503 with a date passes":                {[]answer{status(503, "Retry-After", past), status(201)}, taken, 2},
		"503 with a senseless wait passes":      {[]answer{status(503, "Retry-After", "soon"), status(201)}, taken, 2},
		"500 passes":                            {[]answer{status(500), status(201)}, taken, 2},
		"502 and 504 of a proxy pass":           {[]answer{status(502), status(504), status(201)}, taken, 3},
		"408 says try again":                    {[]answer{status(408), status(201)}, taken, 2},
		"425 says try again":                    {[]answer{status(425), status(201)}, taken, 2},
		"a dropped connection passes":           {[]answer{drop, status(201)}, taken, 2},
		"half a failure is still a failure":     {[]answer{half(500), status(201)}, taken, 2},
		"the last attempt counts":               {[]answer{status(503), drop, status(429), status(201)}, taken, maxAttempts},
		"one attempt more than there is":        {[]answer{status(503), drop, status(429), status(500), status(201)}, unavailable, maxAttempts},
		"503 for ever is given up":              {[]answer{status(503)}, unavailable, maxAttempts},
		"429 for ever is no refusal":            {[]answer{status(429)}, unavailable, maxAttempts},
		"connections dropped for ever":          {[]answer{drop}, unavailable, maxAttempts},
		"a wait beyond all bounds is not begun": {[]answer{status(503, "Retry-After", "3600"), status(201)}, unavailable, 1},

		"400 is refused for good":          {[]answer{status(400), status(201)}, refused, 1},
		"409 is refused for good":          {[]answer{status(409), status(201)}, refused, 1},
		"413 will not get smaller":         {[]answer{status(413), status(201)}, refused, 1},
		"415 will not become another type": {[]answer{status(415), status(201)}, refused, 1},
		"422 is refused for good":          {[]answer{status(422), status(201)}, refused, 1},
		"refused after a try":              {[]answer{status(503), status(422), status(201)}, refused, 2},
		"a wait does not soften a refusal": {[]answer{status(400, "Retry-After", "0"), status(201)}, refused, 1},

		"401 without a token: an operator's": {[]answer{status(401), status(201)}, unavailable, 1},
		"402 is for an operator":             {[]answer{status(402), status(201)}, unavailable, 1},
		"403 is for an operator":             {[]answer{status(403), status(201)}, unavailable, 1},
		"404 is for an operator":             {[]answer{status(404), status(201)}, unavailable, 1},
		"405 is for an operator":             {[]answer{status(405), status(201)}, unavailable, 1},
		"407 is for an operator":             {[]answer{status(407), status(201)}, unavailable, 1},
		"304 makes no sense":                 {[]answer{status(304), status(201)}, unavailable, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sink := serve(t, tt.answers...)
			err := one(t.Context(), open(t, Options{URL: sink.URL}), sample())
			require.Equal(t, tt.want, verdictOf(err), "%v", err)
			require.Len(t, sink.seen(), tt.attempts)
		})
	}
}

// half breaks off in the middle of its answer.
func half(code int) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(code)
		_, _ = w.Write([]byte("half an ans"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// A redirected POST would arrive as a GET, or take its token to another host.
func TestDeliverFollowsNoRedirect(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			sink := serve(t, status(code, "Location", "/elsewhere"), status(201))
			err := one(t.Context(), open(t, Options{URL: sink.URL + "/events"}), sample())
			require.Equal(t, unavailable, verdictOf(err))
			require.ErrorContains(t, err, strconv.Itoa(code))
			require.Len(t, sink.seen(), 1)
			require.Equal(t, "/events", sink.seen()[0].path)
		})
	}
}

func TestEveryAttemptSendsTheSame(t *testing.T) {
	sink := serve(t, status(503), drop, status(201))
	require.NoError(t, one(t.Context(), open(t, Options{URL: sink.URL}), sample()))
	require.Len(t, sink.seen(), 3)
	require.Equal(t, sink.seen()[0], sink.seen()[1])
	require.Equal(t, sink.seen()[0], sink.seen()[2])
}

func TestRefusalCarriesStatusAndAnswer(t *testing.T) {
	sink := serve(t, says(422, "\n severity is none of the five \n"))
	err := one(t.Context(), open(t, Options{URL: sink.URL}), sample())
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 422, refused.Status)
	require.Equal(t, "severity is none of the five", refused.Answer)
	require.ErrorContains(t, err, "422 severity is none of the five")
	require.ErrorContains(t, err, EventID("alertmanager", "incoming-1", "0f3a", "gateway.signal.received"))
	require.ErrorContains(t, err, "gateway.signal.received")
}

func TestARefusedEventCanBeSentAgain(t *testing.T) {
	sink := serve(t, status(400), status(201))
	var refused *RefusedError
	require.ErrorAs(t, one(t.Context(), open(t, Options{URL: sink.URL}), sample()), &refused)
	var e event.Event
	require.NoError(t, json.Unmarshal(refused.Event, &e))
	req, err := cehttp.NewHTTPRequestFromEvent(t.Context(), sink.URL, e)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	sink.seen()[0].header.Del("Traceparent") // It says of the request what the event says of itself.
	require.Equal(t, sink.seen()[0], sink.seen()[1])
}

func TestRefusalIsCut(t *testing.T) {
	sink := serve(t, says(400, strings.Repeat("x", 10*maxAnswer)))
	var refused *RefusedError
	require.ErrorAs(t, one(t.Context(), open(t, Options{URL: sink.URL}), sample()), &refused)
	require.Len(t, refused.Answer, maxAnswer)
}

func TestGivingUpSaysWhatTheSinkSaidLast(t *testing.T) {
	sink := serve(t, status(500), says(503, "the database is locked"))
	err := one(t.Context(), open(t, Options{URL: sink.URL}), sample())
	require.ErrorContains(t, err, "not available: 503 the database is locked")
	require.ErrorContains(t, err, "gateway.signal.received")
}

func TestNoServerIsNotAvailable(t *testing.T) {
	sink := serve(t, status(201))
	sink.Close()
	err := one(t.Context(), open(t, Options{URL: sink.URL}), sample())
	require.Equal(t, unavailable, verdictOf(err))
	require.ErrorContains(t, err, "not available")
}

func TestDeliverReturnsWhenCancelledAndThePostGoesOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	let := make(chan struct{})
	sink := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		<-let
		w.WriteHeader(http.StatusCreated)
	})
	s := open(t, Options{URL: sink.URL})
	err := one(ctx, s, sample())
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, unavailable, verdictOf(err))
	close(let)
	require.NoError(t, one(t.Context(), s, sample()), "the post under way is waited for, or was remembered")
	require.Len(t, sink.seen(), 1)
}

func TestConnectionIsUsedAgain(t *testing.T) {
	sink := serve(t, says(201, strings.Repeat("x", maxAnswer/2)))
	s := open(t, Options{URL: sink.URL})
	for range 50 {
		require.NoError(t, one(t.Context(), s, another()))
	}
	require.Len(t, sink.seen(), 50)
	require.EqualValues(t, 1, sink.connections.Load())
}

func TestCloseClosesConnections(t *testing.T) {
	sink := serve(t, status(201))
	s := open(t, Options{URL: sink.URL})
	require.NoError(t, one(t.Context(), s, sample()))
	s.Close()
	s.Close()
	require.ErrorIs(t, one(t.Context(), s, another()), errClosed)
	require.Len(t, sink.seen(), 1)
	sink.Close() // It waits for connections that are in use.
}

func TestManyDeliverAtOnce(t *testing.T) {
	const n = 2 * maxConnections
	var count sync.Map
	flaky := func(w http.ResponseWriter, r *http.Request) {
		// The first try of each is turned away.
		if _, again := count.LoadOrStore(r.Header.Get("Ce-Id"), true); again {
			w.WriteHeader(http.StatusCreated)
		} else {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	sink := serve(t, flaky)
	s := open(t, Options{URL: sink.URL})
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			e := sample()
			e.Alert = strconv.Itoa(i)
			errs[i] = one(t.Context(), s, e)
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, sink.seen(), 2*n)
	require.LessOrEqual(t, sink.connections.Load(), int64(maxConnections))
}

// FuzzRetryAfter reads any header: what comes of it is a wait, and never one
// that is over before it began.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "5", "-1", "9223372037", "18446744074", "99999999999999999999", "Wed, 21 Oct 2015 07:28:00 GMT", "soon"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		wait, ok := RetryAfter(header, maxRetryAfter)
		require.GreaterOrEqual(t, wait, time.Duration(0))
		if n, err := strconv.ParseUint(header, 10, 64); err == nil {
			require.True(t, ok)
			require.Equal(t, n > uint64(maxElapsed/time.Second), wait > maxElapsed)
		}
		if !ok {
			require.Zero(t, wait)
		}
	})
}
