package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
)

// network is a collector in the same process: with it a test can run on a clock of its
// own.
type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) { return n(r) }

// answers is one that always says the same.
func answers(status int, body string, header http.Header) network {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// stuck never answers.
func stuck(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// sending is a sender to a collector, with what it could not send.
func sending(t *testing.T, timeout time.Duration, n network) (*sender, *[]error) {
	t.Helper()
	var lost []error
	o := Options{Service: "onefire", Version: "v1", OTel: config.OTel{Timeout: config.Milliseconds(timeout)}}
	return newSender(t.Context(), "http://collector.test", o, &http.Client{Transport: n}, func(err error) { lost = append(lost, err) }), &lost
}

func TestTheTimesOfAnExport(t *testing.T) {
	const timeout = time.Minute
	asks := func(seconds string) network {
		return answers(503, "", http.Header{"Retry-After": {seconds}})
	}
	for reason, row := range map[string]struct {
		collector   network
		least, most time.Duration
		says        string
	}{
		"a collector that is stuck":             {stuck, timeout, timeout, "the collector is not available: context deadline exceeded"},
		"one that asks for almost all the time": {asks("59"), 59 * time.Second, 59 * time.Second, "the collector answered 503"},
		"one that asks for more":                {asks("61"), 0, 0, "the collector answered 503"},
		"one that is busy":                      {answers(503, "busy", nil), timeout - maxPause*3/2, timeout, "the collector answered 503 busy"},
		"one that says no":                      {answers(400, "no", nil), 0, 0, "the collector answered 400 no"},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, lost := sending(t, timeout, row.collector)
				begun := time.Now()
				s.send(t.Context(), 1)
				require.GreaterOrEqual(t, time.Since(begun), row.least)
				require.LessOrEqual(t, time.Since(begun), row.most)
				require.Len(t, *lost, 1)
				require.ErrorContains(t, (*lost)[0], row.says)
			})
		})
	}
}

func TestPausesBetweenTriesOfAnExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		s, _ := sending(t, 2*time.Minute, func(*http.Request) (*http.Response, error) {
			times = append(times, time.Now())
			return answers(503, "", nil)(nil)
		})
		s.send(t.Context(), 1)
		require.InDelta(t, firstPause, times[1].Sub(times[0]), float64(firstPause)/2)
		longest := time.Duration(0)
		for i := range times[1:] {
			longest = max(longest, times[i+1].Sub(times[i]))
		}
		require.Greater(t, longest, maxPause)
		require.LessOrEqual(t, longest, maxPause*3/2)
	})
}

// When the process cannot wait any longer, what is under way ends.
func TestTheEndOfAProcessEndsAnExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(t.Context())
		s, lost := sending(t, time.Hour, stuck)
		s.life = life
		time.AfterFunc(time.Second, end)
		begun := time.Now()
		s.send(t.Context(), 1)
		require.Equal(t, time.Second, time.Since(begun))
		require.Len(t, *lost, 1)
	})
}

func TestOfACollectorsAnswerSoMuchIsSaid(t *testing.T) {
	s, lost := sending(t, time.Minute, answers(400, strings.Repeat("x", maxAnswer+1), nil))
	s.send(t.Context(), 1)
	require.EqualError(t, (*lost)[0], "the collector answered 400 "+strings.Repeat("x", maxAnswer))
}

func TestWhatHasNoJSONIsNotSent(t *testing.T) {
	for _, compression := range []config.Compression{config.CompressionNone, config.CompressionGzip} {
		s, lost := sending(t, time.Minute, func(*http.Request) (*http.Response, error) { return nil, errors.New("it was sent") })
		s.gzip = compression == config.CompressionGzip
		s.send(t.Context(), make(chan int))
		require.Len(t, *lost, 1)
		require.ErrorContains(t, (*lost)[0], "unsupported type")
	}
}

func TestAnEndpointThatIsNoneIsSaidOnce(t *testing.T) {
	s, lost := sending(t, time.Minute, stuck)
	s.url = "://"
	s.send(t.Context(), 1)
	require.Len(t, *lost, 1)
	require.ErrorContains(t, (*lost)[0], "missing protocol scheme")
}

// A flush that is stuck is given up, within the time that a stop has.
func TestAStopHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, logged := options("")
		all := &Telemetry{end: func() {}, failures: &failures{log: o.Log, now: time.Now, kinds: map[string]*failure{}}}
		all.flushes = append(all.flushes, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		begun := time.Now()
		require.NoError(t, all.Stop(t.Context()))
		require.Equal(t, stopTimeout, time.Since(begun))
		require.Contains(t, logged.String(), "context deadline exceeded")
	})
}

func TestAScrapeHasItsTime(t *testing.T) {
	all := start(t, Options{Service: "onefire", Address: freeAddress(t)})
	require.Equal(t, scrapeTimeout, all.scraped.server.ReadTimeout)
	require.Equal(t, scrapeTimeout, all.scraped.server.WriteTimeout)
	require.NoError(t, all.Stop(t.Context()))
}

func TestATextIsCutAtItsBound(t *testing.T) {
	require.Equal(t, strings.Repeat("x", maxText), Cut(strings.Repeat("x", maxText)))
	require.Equal(t, strings.Repeat("x", maxText)+"…", Cut(strings.Repeat("x", maxText+1)))
}
