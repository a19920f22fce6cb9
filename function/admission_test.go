package function

import (
	"context"
	"encoding/base64"
	"encoding/json"
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
	o := newFixture().service.observer
	who, err := newAdmission(&rest.Config{Host: "https://127.0.0.1:1"}, config.Config{}, o)
	require.NoError(t, err)
	require.Equal(t, admission{observer: o}, who)
	who, err = newAdmission(&rest.Config{Host: "https://127.0.0.1:1"}, config.Config{OIDCAudience: "a"}, nil)
	require.NoError(t, err)
	require.NotNil(t, who.senders)
	_, err = newAdmission(&rest.Config{Host: "a b"}, config.Config{OIDCAudience: "a"}, nil)
	require.Error(t, err)
}

// reviewing is an API server that knows each token as that of one user.
type reviewing struct {
	user     string
	audience []string
}

func (a *reviewing) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	var review struct {
		Spec struct{ Audiences []string }
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		return nil, err
	}
	a.audience = review.Spec.Audiences
	return kubeAnswer(http.StatusCreated, map[string]any{"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
		"status": map[string]any{"authenticated": true, "audiences": a.audience, "user": map[string]string{"username": a.user}}}), nil
}

func TestOnlyTheConfiguredSubjectsAreLetIn(t *testing.T) {
	claims, err := json.Marshal(map[string]any{"aud": []string{"ours"}, "exp": time.Now().Add(time.Hour).Unix()})
	require.NoError(t, err)
	token := "Bearer e30." + base64.RawURLEncoding.EncodeToString(claims) + ".c2ln"
	for user, status := range map[string]int{"the-trigger": http.StatusOK, "a-stranger": http.StatusForbidden} {
		t.Run(user, func(t *testing.T) {
			f, api := newFixture(), &reviewing{user: user}
			f.service.admission, err = newAdmission(&rest.Config{Host: "https://api.test", Transport: api},
				config.Config{OIDCAudience: "ours", OIDCSubjects: []string{"the-trigger"}}, f.service.observer)
			require.NoError(t, err)
			requireStatus(t, status, f.serve(with(binary("1", webhook(alert("firing", "alertname=A"))), "Authorization", token)))
			require.Equal(t, []string{"ours"}, api.audience)
			require.Equal(t, status != http.StatusOK, strings.Contains(f.log.String(), `"msg":"sender not admitted","status":403,"user":"a-stranger"`))
		})
	}
}
