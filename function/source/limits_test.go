package source

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/config"
)

// The timeouts and bounds of a connection.
func TestAConnectionHasItsBounds(t *testing.T) {
	f := start(t, newBroker(t))
	require.Equal(t, headerTimeout, f.server.ReadHeaderTimeout)
	require.Equal(t, idleTimeout, f.server.IdleTimeout)
	require.Equal(t, maxHeader, f.server.MaxHeaderBytes)
}

func TestAReasonIsCutAtItsBound(t *testing.T) {
	require.Equal(t, strings.Repeat("x", maxReason), answered(400, "%s", strings.Repeat("x", maxReason)).reason)
	require.Equal(t, strings.Repeat("x", maxReason)+"…", answered(400, "%s", strings.Repeat("x", maxReason+1)).reason)
	require.Equal(t, strings.Repeat("x", maxReason-1)+"…", answered(400, "%s", strings.Repeat("x", maxReason-1)+"ü").reason)
}

func TestTheNameOfAReceiverIsCutAtItsBound(t *testing.T) {
	require.Equal(t, "urn:onefire:alertmanager:"+strings.Repeat("x", maxReceiver), sourceOf(strings.Repeat("x", maxReceiver)))
	require.Contains(t, sourceOf(strings.Repeat("x", maxReceiver+1)), "urn:onefire:alertmanager:sha256:")
}

func TestAWebhookIsReadUpToItsBounds(t *testing.T) {
	const one = `{"labels":{"alertname":"A"}}`
	envelope := func(surplus int) string {
		const beside = len("status") + len("alerts") + len("more") + len(`""`)
		return `{"status":null,"alerts":[` + one + `],"more":"` + strings.Repeat("x", maxEnvelope-beside-len("null")+surplus) + `"}`
	}
	for reason, row := range map[string]struct {
		body string
		err  error
	}{
		"as many fields as may be": {`{"alerts":[` + one + `]` + manyFields(maxFields-1) + `}`, nil},
		"one more":                 {`{"alerts":[` + one + `]` + manyFields(maxFields) + `}`, errNoWebhook},
		"as many alerts as may be": {`{"alerts":[1` + strings.Repeat(",1", maxAlerts-1) + `]}`, nil},
		"an alert more":            {`{"alerts":[1` + strings.Repeat(",1", maxAlerts) + `]}`, errTooLarge},
		"as large an envelope":     {envelope(0), nil},
		"a byte more":              {envelope(1), errTooLarge},
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := read([]byte(row.body), noon)
			require.ErrorIs(t, err, row.err)
		})
	}
}

// sinkOf is a sink at the end of a network of one function.
func sinkOf(t *testing.T, answer func() *http.Response) *sink {
	t.Helper()
	s, err := newSink(config.Source{Sink: "http://sink.test"})
	require.NoError(t, err)
	s.client.Wrap(func(http.RoundTripper) http.RoundTripper { return network(answer) })
	return s
}

type network func() *http.Response

func (n network) RoundTrip(*http.Request) (*http.Response, error) { return n(), nil }

func TestAnEventIsAsLargeAsTheFunctionTakes(t *testing.T) {
	for reason, row := range map[string]struct {
		surplus, posts int
	}{"the largest": {0, 1}, "a byte more": {1, 0}} {
		t.Run(reason, func(t *testing.T) {
			posts := 0
			s := sinkOf(t, func() *http.Response {
				posts++
				return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody}
			})
			data := []byte(`"` + strings.Repeat("x", maxEvent-2+row.surplus) + `"`)
			err := s.deliver(t.Context(), newEvent("1", "urn:a", AlertType, noon, nil, data), 1)
			require.Equal(t, row.posts, posts)
			if row.posts > 0 {
				require.NoError(t, err)
				return
			}
			var no *audit.RefusedError
			require.ErrorAs(t, err, &no)
			require.Equal(t, http.StatusRequestEntityTooLarge, no.Status)
			require.Equal(t, "its 2097153 bytes are more than the 2097152 that the function takes", no.Answer)
			require.NotEmpty(t, no.Event)
		})
	}
}

// How long an event is tried here, before Alertmanager sends its webhook again.
func TestTheTimesOfTries(t *testing.T) {
	for reason, row := range map[string]struct {
		asked       string
		posts       int
		least, most time.Duration
	}{
		"it asks for nothing":      {"", maxAttempts, firstPause/2 + firstPause*3/4 + firstPause*9/8, firstPause*3/2 + firstPause*9/4 + firstPause*27/8},
		"it asks for all the time": {"10", 2, maxElapsed, maxElapsed},
		"it asks for more":         {"11", 1, 0, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				posts := 0
				s := sinkOf(t, func() *http.Response {
					posts++
					resp := &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody}
					if row.asked != "" {
						resp.Header.Set("Retry-After", row.asked)
					}
					return resp
				})
				require.Equal(t, firstPause, s.firstPause, "the times below are jittered")
				e := newEvent("1", "urn:a", AlertType, noon, nil, []byte("{}"))
				begun := time.Now()
				require.ErrorContains(t, s.deliver(t.Context(), e, maxAttempts), "503")
				require.Equal(t, row.posts, posts)
				require.GreaterOrEqual(t, time.Since(begun), row.least)
				require.LessOrEqual(t, time.Since(begun), row.most)
			})
		})
	}
}

func TestOfTheSinksAnswerSoMuchIsShown(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	for _, surplus := range []int{0, 1} {
		text := strings.Repeat("x", maxAnswerShown+surplus)
		b.answers(func(event.Event, *http.Request) (int, map[string]string, string) {
			return http.StatusForbidden, nil, text
		})
		want := "403 " + text
		if surplus > 0 {
			want = "403 " + text[:maxAnswerShown] + "…"
		}
		require.Equal(t, "1 of 1 events could not be sent: the sink is not available: "+want, f.requireStatus(http.StatusServiceUnavailable, simple))
	}
}

// An occurrence is over at the end of its window, or of what stands in for one.
func TestWhenAnOccurrenceIsOver(t *testing.T) {
	for reason, row := range map[string]struct {
		of    occurrence
		after time.Duration
	}{
		"its webhook was acknowledged":         {occurrence{settled: noon, taken: noon, seen: noon.Add(time.Hour)}, length},
		"the sink has taken it":                {occurrence{taken: noon, seen: noon.Add(time.Hour)}, openFor},
		"nobody has taken it":                  {occurrence{seen: noon}, openFor},
		"it was acknowledged, and not taken":   {occurrence{settled: noon, seen: noon.Add(time.Hour)}, length},
		"it was taken while it was under way ": {occurrence{taken: noon, sending: &sending{}}, openFor},
	} {
		require.False(t, row.of.expired(noon.Add(row.after-1), length), reason)
		require.True(t, row.of.expired(noon.Add(row.after), length), reason)
	}
	under := occurrence{seen: noon, sending: &sending{}}
	require.False(t, under.expired(noon.Add(2*openFor), length), "it is under way")
}

// The source does not retry an event of which no request can be made.
func TestAnEventThatIsNoRequestIsRefused(t *testing.T) {
	for sink, id := range map[string]string{"://": "1", "http://sink.test": ""} {
		s, err := newSink(config.Source{Sink: sink})
		require.NoError(t, err)
		s.client.Wrap(func(http.RoundTripper) http.RoundTripper { return answers(http.StatusAccepted) })
		var no *audit.RefusedError
		require.ErrorAs(t, s.deliver(t.Context(), newEvent(id, "urn:a", AlertType, noon, nil, []byte("{}")), maxAttempts), &no)
		require.Equal(t, http.StatusBadRequest, no.Status)
		require.NotEmpty(t, no.Answer)
	}
}
