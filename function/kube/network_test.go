package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// network is an API server in the same process: with it a test can run on a clock of
// its own.
type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) { return n(r) }

func (n network) config() *rest.Config { return &rest.Config{Host: "http://api.test", Transport: n} }

// stuck never answers.
func stuck(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// says answers with a status and a text.
func says(code int, text string) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text))}
}

// An API server that never answers holds an Event for so long.
func TestAWriteThatIsStuckEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan EventResult, 1)
		r := NewRecorder(network(stuck).config(), "pod-1", slog.New(slog.DiscardHandler), func(r EventResult) { left <- r })
		begun := time.Now()
		r.Record(made("rr-1"))
		require.Equal(t, LeftOut, <-left)
		require.Equal(t, writeTimeout, time.Since(begun))
	})
}

func TestAGetThatIsStuckEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := NewResolver(network(stuck).config(), ResolverOptions{})
		require.NoError(t, err)
		begun := time.Now()
		_, err = r.Find(t.Context(), pod("p"))
		require.ErrorContains(t, err, "reading Pod shop/p: ")
		require.Equal(t, getTimeout, time.Since(begun))
	})
}

// The wait for a turn counts as well, and so does the pause before a refusal is believed.
func TestAWaitBeforeAGetEndsToo(t *testing.T) {
	for reason, row := range map[string]struct {
		ready func(*Resolver)
		says  string
	}{
		"for its turn":     {func(r *Resolver) { r.slots.TryAcquire(maxGets) }, "waiting for a slot among the concurrent API calls: "},
		"for another look": {func(r *Resolver) { r.pause = time.Hour }, "waiting to ask again: "},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				forbids := network(func(*http.Request) (*http.Response, error) {
					return says(http.StatusForbidden, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`), nil
				})
				r, err := NewResolver(forbids.config(), ResolverOptions{})
				require.NoError(t, err)
				row.ready(r)
				begun := time.Now()
				_, err = r.Find(t.Context(), pod("p"))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, row.says)
				require.Equal(t, getTimeout, time.Since(begun))
			})
		})
	}
}

// A refusal is believed when it is said again after the pause.
func TestHowLongARefusalIsDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		forbids := network(func(*http.Request) (*http.Response, error) {
			times = append(times, time.Now())
			return says(http.StatusForbidden, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`), nil
		})
		r, err := NewResolver(forbids.config(), ResolverOptions{})
		require.NoError(t, err)
		found, err := r.Find(t.Context(), pod("p"))
		require.NoError(t, err)
		require.Equal(t, Forbidden, found.Result)
		require.Len(t, times, 2)
		require.Equal(t, ownerRefusalPause, times[1].Sub(times[0]))
	})
}

func TestAConfigurationThatIsNoneIsSaid(t *testing.T) {
	none := &rest.Config{Host: "http://%"}
	_, err := NewResolver(none, ResolverOptions{})
	require.ErrorContains(t, err, "making a Kubernetes client: ")
	_, err = NewVerifier(none, VerifierOptions{})
	require.ErrorContains(t, err, "making a Kubernetes client: ")
	synctest.Test(t, func(t *testing.T) {
		left := make(chan EventResult, 1)
		NewRecorder(none, "pod-1", slog.New(slog.DiscardHandler), func(r EventResult) { left <- r }).Record(made("rr-1"))
		require.Equal(t, LeftOut, <-left)
	})
}

// An object may be as large as the API server stores.
func TestAnObjectIsReadUpToItsBound(t *testing.T) {
	for reason, row := range map[string]struct {
		surplus int
		result  OwnerResult
	}{"the largest": {0, Resolved}, "one byte more": {1, Refused}} {
		t.Run(reason, func(t *testing.T) {
			const head, tail = `{"metadata":{"name":"p"},"filling":"`, `"}`
			text := head + strings.Repeat("x", maxObject-len(head)-len(tail)+row.surplus) + tail
			r, err := NewResolver(network(func(*http.Request) (*http.Response, error) { return says(200, text), nil }).config(), ResolverOptions{})
			require.NoError(t, err)
			found, err := r.Find(t.Context(), pod("p"))
			require.NoError(t, err)
			require.Equal(t, row.result, found.Result)
		})
	}
}

// A review may be so long, and what is longer is not understood.
func TestAReviewIsReadUpToItsBound(t *testing.T) {
	const yes = `{"kind":"TokenReview","status":{"authenticated":true,"audiences":["` + ours + `"],"user":{"username":"` + trigger + `"}}}`
	for reason, surplus := range map[string]int{"the longest": 0, "one byte more": 1} {
		t.Run(reason, func(t *testing.T) {
			text := strings.Repeat(" ", maxReviewAnswer-len(yes)+surplus) + yes
			v, err := NewVerifier(network(func(*http.Request) (*http.Response, error) { return says(201, text), nil }).config(), VerifierOptions{Audience: ours})
			require.NoError(t, err)
			_, err = v.Check(t.Context(), shown("Bearer "+token(t, "good", nil)))
			if surplus == 0 {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "reading the API server's review of the sender's token: ")
			}
		})
	}
}

// body is an answer that notes what becomes of it.
type body struct {
	io.Reader
	closed bool
	err    error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

// Every answer gives its connection back, however long it is.
func TestEveryAnswerIsClosed(t *testing.T) {
	for reason, call := range map[string]func(t *testing.T, c *rest.Config){
		"an object": func(t *testing.T, c *rest.Config) {
			r, err := NewResolver(c, ResolverOptions{})
			require.NoError(t, err)
			_, _ = r.Find(t.Context(), pod("p")) // It is no object.
		},
		"a review": func(t *testing.T, c *rest.Config) {
			v, err := NewVerifier(c, VerifierOptions{Audience: ours})
			require.NoError(t, err)
			_, _ = v.Check(t.Context(), shown("Bearer "+token(t, "good", nil))) // It is no review.
		},
		"an Event": func(t *testing.T, c *rest.Config) {
			r := NewRecorder(c, "pod-1", slog.New(slog.DiscardHandler), func(EventResult) {})
			r.Record(made("rr-1"))
			r.Close(t.Context())
		},
	} {
		t.Run(reason, func(t *testing.T) {
			b := &body{Reader: strings.NewReader(strings.Repeat("x", maxObject+2))}
			call(t, network(func(*http.Request) (*http.Response, error) {
				resp := says(http.StatusCreated, "")
				resp.Body = b
				return resp, nil
			}).config())
			require.True(t, b.closed)
		})
	}
}

// A short answer is read to its end, so that its connection can be used again.
func TestTheAnswerToAnEventIsRead(t *testing.T) {
	for size, left := range map[int]int{1000: 0, maxEventAnswer: 0, maxEventAnswer + 5: 5} {
		synctest.Test(t, func(t *testing.T) {
			answer := strings.NewReader(strings.Repeat("x", size))
			var mu sync.Mutex
			var results []EventResult
			r := NewRecorder(network(func(*http.Request) (*http.Response, error) {
				resp := says(http.StatusCreated, "")
				resp.Body = &body{Reader: answer}
				return resp, nil
			}).config(), "pod-1", slog.New(slog.DiscardHandler), func(r EventResult) {
				mu.Lock()
				defer mu.Unlock()
				results = append(results, r)
			})
			r.Record(made("rr-1"))
			r.Close(t.Context())
			require.Equal(t, []EventResult{Written}, results)
			require.Equal(t, left, answer.Len(), size)
		})
	}
}

func TestAnAnswerThatBreaksOffIsNoAnswer(t *testing.T) {
	gone := errors.New("gone")
	broken := network(func(*http.Request) (*http.Response, error) {
		resp := says(http.StatusOK, "")
		resp.Body = &body{Reader: strings.NewReader(`{"metadata":{"name":"p"}}`), err: gone}
		return resp, nil
	})
	r, err := NewResolver(broken.config(), ResolverOptions{})
	require.NoError(t, err)
	_, err = r.Find(t.Context(), pod("p"))
	require.ErrorIs(t, err, gone)
	require.ErrorContains(t, err, "reading the answer: ")
	v, err := NewVerifier(broken.config(), VerifierOptions{Audience: ours})
	require.NoError(t, err)
	_, err = v.Check(t.Context(), shown("Bearer "+token(t, "good", nil)))
	require.ErrorIs(t, err, gone)
}

// Only a client's mistake is a final answer.
func TestWhichAnswersAreFinal(t *testing.T) {
	for code, want := range map[int]OwnerResult{0: "", 302: "", 399: "", 400: Refused, 403: Forbidden, 404: Gone, 499: Refused, 500: "", 599: ""} {
		result, ok := final(fmt.Errorf("reading: %w", &apierrors.StatusError{ErrStatus: metav1.Status{Code: int32(code)}}))
		require.Equal(t, want != "", ok, code)
		if ok {
			require.Equal(t, want, result, code)
		}
	}
}

// The rights that the manifests grant are these.
func TestWhatMayBeAskedFor(t *testing.T) {
	followed := []schema.GroupResource{
		{Resource: "pods"}, {Group: "apps", Resource: "replicasets"}, {Group: "apps", Resource: "deployments"}, {Group: "apps", Resource: "statefulsets"},
		{Group: "apps", Resource: "daemonsets"}, {Group: "batch", Resource: "jobs"}, {Group: "batch", Resource: "cronjobs"},
	}
	require.Equal(t, followed, Resources())
	require.Equal(t, append([]schema.GroupResource{{Resource: "namespaces"}, {Resource: "nodes"}, {Resource: "persistentvolumes"}}, followed...), ScopeResources())
}
