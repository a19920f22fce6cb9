package deadletters

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"onefire/function/receive"
)

// network answers in the same process: with it a test can run on a clock of its own.
type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) { return n(r) }

// api is that of an API server at the end of such a network.
func (n network) api(t *testing.T) *api {
	t.Helper()
	a, err := connect(&rest.Config{Host: "http://api.test", Transport: n}, namespace)
	require.NoError(t, err)
	return a
}

// stuck never answers.
func stuck(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// ending is an answer's body that tells whether it was closed, and that may break off.
type ending struct {
	io.Reader
	closed bool
	err    error
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err == io.EOF && e.err != nil {
		err = e.err
	}
	return n, err
}

func (e *ending) Close() error {
	e.closed = true
	return nil
}

func answered(code int, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}

func TestACallOfTheAPIServerHasItsBounds(t *testing.T) {
	gone := errors.New("gone")
	const head, tail = `{"data":{"event.json":"`, `"}}`
	whole := func(surplus int) string {
		return head + strings.Repeat("x", maxAnswer-len(head)-len(tail)+surplus) + tail
	}
	for reason, row := range map[string]struct {
		body ending
		says string
	}{
		"the longest answer":  {ending{Reader: strings.NewReader(whole(0))}, ""},
		"one that is longer":  {ending{Reader: strings.NewReader(whole(1))}, "the API server's answer is larger than 16777216 bytes"},
		"one that breaks off": {ending{Reader: strings.NewReader(head + tail), err: gone}, "reading the API server's answer: gone"},
		"no JSON":             {ending{Reader: strings.NewReader("hello")}, "decoding the API server's answer: "},
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := network(func(*http.Request) (*http.Response, error) { return answered(200, &row.body), nil }).api(t).get(t.Context(), "x")
			if row.says == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, row.says)
			}
			require.True(t, row.body.closed)
		})
	}
}

func TestAnAPIServerThatIsStuckIsGivenUp(t *testing.T) {
	for reason, row := range map[string]struct {
		call func(t *testing.T, a *api) error
		took time.Duration
	}{
		"a call": {func(t *testing.T, a *api) error { _, err := a.get(t.Context(), "x"); return err }, callTimeout},
		"a readiness probe": {func(t *testing.T, a *api) error {
			log := &bytes.Buffer{}
			if newStore(a, usage{1, 1}, slog.New(slog.NewTextHandler(log, nil))).ready(t.Context()) {
				return nil
			}
			return errors.New(log.String())
		}, readyTimeout},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				require.ErrorContains(t, row.call(t, network(stuck).api(t)), "deadline exceeded")
				require.Equal(t, row.took, time.Since(begun))
			})
		})
	}
}

func TestMoreDeadLettersThanCanBeReadAreSaid(t *testing.T) {
	pages := 0
	a := network(func(*http.Request) (*http.Response, error) {
		pages++
		return answered(200, &ending{Reader: strings.NewReader(`{"metadata":{"continue":"more"},"items":[]}`)}), nil
	}).api(t)
	_, err := a.list(t.Context())
	require.ErrorContains(t, err, "more dead letters than can be read")
	require.Equal(t, maxPages, pages)
}

func TestAConfigurationThatIsNoneIsSaid(t *testing.T) {
	_, err := OpenLetters(&rest.Config{Host: "http://%"}, namespace)
	require.ErrorContains(t, err, "making a Kubernetes client: ")
}

func TestLettersThatCannotBeReadOrDeletedAreAnError(t *testing.T) {
	broken := network(func(*http.Request) (*http.Response, error) { return nil, errors.New("away") })
	l := Letters{broken.api(t)}
	_, _, _, err := l.Page(t.Context(), 10, "")
	require.ErrorContains(t, err, "away")
	require.ErrorContains(t, l.Delete(t.Context(), Letter{Name: "a-letter"}), "deleting the dead letter a-letter: ")
}

func TestAStuckRequestMakesTheProcessDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(network(stuck).api(t), usage{1, 1}, slog.New(slog.DiscardHandler))
		s.receiver.Answered = nil
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.receiver.Serve(discarding{}, &http.Request{Method: http.MethodPost, Body: http.NoBody}, s.log, func(context.Context, []byte) receive.Answer {
				pass(stuckAfter + 1)
				return receive.OK()
			})
		}()
		synctest.Wait()
		pass(stuckAfter - 1)
		require.True(t, s.alive())
		pass(1)
		require.False(t, s.alive())
		<-ended
	})
}

// discarding takes an answer that nobody reads.
type discarding struct{}

func (discarding) Header() http.Header         { return http.Header{} }
func (discarding) Write(p []byte) (int, error) { return len(p), nil }
func (discarding) WriteHeader(int)             {}

// pass lets time go by within synctest.Test, where the clock is the test's own.
func pass(d time.Duration) {
	time.Sleep(d) // In a bubble of synctest this only moves its clock on; nothing waits.
}

// A replay gives a function that has first to be started its time.
func TestTheTimesOfAReplay(t *testing.T) {
	for reason, row := range map[string]struct {
		function    network
		least, most time.Duration
	}{
		"a function that is stuck": {stuck, maxTries*replayTimeout + firstPause/2 + firstPause*3/4 + firstPause*9/8, maxTries*replayTimeout + firstPause*3/2 + firstPause*9/4 + firstPause*27/8},
		"a function that is busy": {
			func(*http.Request) (*http.Response, error) { return answered(503, http.NoBody), nil },
			firstPause/2 + firstPause*3/4 + firstPause*9/8, firstPause*3/2 + firstPause*9/4 + firstPause*27/8,
		},
		"a function that asks for a long pause": {
			func(*http.Request) (*http.Response, error) {
				resp := answered(503, http.NoBody)
				resp.Header.Set("Retry-After", "3600")
				return resp, nil
			}, (maxTries - 1) * maxPause, (maxTries - 1) * maxPause,
		},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newReplayer(nil, "http://function.test", "", io.Discard)
				p.client.Wrap(func(http.RoundTripper) http.RoundTripper { return row.function })
				begun := time.Now()
				require.Error(t, p.deliver(t.Context(), sample(nil)))
				require.GreaterOrEqual(t, time.Since(begun), row.least)
				require.LessOrEqual(t, time.Since(begun), row.most)
			})
		})
	}
}

func TestWhatADryRunIsAnswered(t *testing.T) {
	gone := errors.New("gone")
	for reason, row := range map[string]struct {
		function network
		says     string
		refused  bool
		took     time.Duration
	}{
		"nothing": {stuck, "the function is not available: ", false, replayTimeout},
		"half an answer": {func(*http.Request) (*http.Response, error) {
			return answered(200, &ending{Reader: strings.NewReader("{"), err: gone}), nil
		}, "reading the function's answer: gone", false, 0},
		"too large": {func(*http.Request) (*http.Response, error) {
			return answered(413, &ending{Reader: strings.NewReader(" big \n")}), nil
		}, "413: big", true, 0},
		"refused": {func(*http.Request) (*http.Response, error) {
			return answered(400, &ending{Reader: strings.NewReader("bad")}), nil
		}, "400: bad", true, 0},
		"later": {func(*http.Request) (*http.Response, error) {
			return answered(503, &ending{Reader: strings.NewReader("busy")}), nil
		}, "503: busy", false, 0},
		"accepted, with no words": {func(*http.Request) (*http.Response, error) {
			return answered(202, &ending{Reader: strings.NewReader("")}), nil
		}, "202: ", false, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newReplayer(nil, "http://function.test", "", io.Discard)
				var body *ending
				p.client.Wrap(func(http.RoundTripper) http.RoundTripper {
					return network(func(r *http.Request) (*http.Response, error) {
						resp, err := row.function(r)
						if err == nil {
							body = resp.Body.(*ending)
						}
						return resp, err
					})
				})
				begun := time.Now()
				_, err := p.ask(t.Context(), sample(nil))
				require.ErrorContains(t, err, row.says)
				if body != nil {
					require.True(t, body.closed)
				}
				var no *refusedError
				require.Equal(t, row.refused, errors.As(err, &no))
				require.Equal(t, row.took, time.Since(begun))
			})
		})
	}
}
