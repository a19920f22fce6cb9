package function

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/function/kube"
)

// fakeSenders answers as it says.
type fakeSenders func(h http.Header) (string, error)

func (f fakeSenders) Check(_ context.Context, h http.Header) (string, error) { return f(h) }

// unread fails the test when a body is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a sender that is not let in was read")
	return 0, io.EOF
}

func TestWhoIsNotLetIn(t *testing.T) {
	for reason, row := range map[string]struct {
		err       error
		status    int
		challenge string
		retry     bool
	}{
		"unknown":             {fmt.Errorf("%w: no token", kube.ErrUnknownSender), http.StatusUnauthorized, "Bearer", false},
		"not allowed":         {fmt.Errorf("%w: x", kube.ErrNotAllowed), http.StatusForbidden, "", false},
		"it cannot be told":   {errors.New("the API server is down"), http.StatusServiceUnavailable, "", true},
		"nobody waits longer": {context.DeadlineExceeded, http.StatusServiceUnavailable, "", true},
	} {
		t.Run(reason, func(t *testing.T) {
			f := newFixture()
			f.service.admission.senders = fakeSenders(func(http.Header) (string, error) { return "", row.err })
			r := binary("1", "")
			r.Body, r.ContentLength = io.NopCloser(unread{t}), 100
			w := f.serve(r)
			requireStatus(t, row.status, w)
			require.Equal(t, row.challenge, w.Header().Get("WWW-Authenticate"))
			require.Equal(t, row.retry, w.Header().Get("Retry-After") != "")
			require.Contains(t, w.Body.String(), row.err.Error())
			require.Contains(t, f.log.String(), `"msg":"sender not admitted"`)
			require.Empty(t, f.sink.ids())
		})
	}
}

func TestWhoIsLetInIsServed(t *testing.T) {
	f := newFixture()
	f.service.admission.senders = fakeSenders(func(h http.Header) (string, error) {
		require.Equal(t, "Bearer secret", h.Get("Authorization"))
		return "user", nil
	})
	requireStatus(t, http.StatusOK, f.serve(with(binary("1", webhook(alert("firing", "alertname=A"))), "Authorization", "Bearer secret")))
	require.NotContains(t, f.log.String(), "secret")
	requireStatus(t, http.StatusMethodNotAllowed, f.serve(replayable(mustRequest(t, http.MethodGet), "")))
}

func mustRequest(t *testing.T, method string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "/", nil)
	require.NoError(t, err)
	return r
}

func TestStrangersDoNotFillTheLog(t *testing.T) {
	f := newFixture()
	now := noon
	f.clock(func() time.Time { return now })
	f.service.admission.senders = fakeSenders(func(http.Header) (string, error) { return "", kube.ErrUnknownSender })
	lines := func() int { return strings.Count(f.log.String(), "sender not admitted") }
	for range 100 {
		requireStatus(t, http.StatusUnauthorized, f.serve(binary("1", "")))
	}
	require.Equal(t, 1, lines())
	now = now.Add(refusalPause)
	requireStatus(t, http.StatusUnauthorized, f.serve(binary("1", "")))
	require.Equal(t, 2, lines())
	require.Contains(t, f.log.String(), `"unlogged":99`)
}

func TestStrangersDoNotHideInTheLogThatNobodyCanBeTold(t *testing.T) {
	f := newFixture()
	f.clock(func() time.Time { return noon })
	err := kube.ErrUnknownSender
	f.service.admission.senders = fakeSenders(func(http.Header) (string, error) { return "", err })
	requireStatus(t, http.StatusUnauthorized, f.serve(binary("1", "")))
	err = errors.New("onefire may not create tokenreviews")
	for range 100 {
		requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("1", "")))
	}
	require.Equal(t, 1, strings.Count(f.log.String(), "onefire may not create tokenreviews"))
}

func TestNobodyIsAskedUnlessThereIsAnAudience(t *testing.T) {
	who, err := newAdmission(&rest.Config{Host: "https://127.0.0.1:1"}, config.Config{}, nil)
	require.NoError(t, err)
	require.Nil(t, who.senders)
	who, err = newAdmission(&rest.Config{Host: "https://127.0.0.1:1"}, config.Config{OIDCAudience: "a"}, nil)
	require.NoError(t, err)
	require.NotNil(t, who.senders)
	_, err = newAdmission(&rest.Config{Host: "a b"}, config.Config{OIDCAudience: "a"}, nil)
	require.Error(t, err)
}
