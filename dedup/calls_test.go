package dedup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// answering is a transport that keeps the last request and gives one answer.
type answering struct {
	answer  func(*http.Request) (*http.Response, error)
	request *http.Request
	sent    string
	// closed is whether the answer's body was closed.
	closed bool
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	a.request = r
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		a.sent = string(text)
	}
	resp, err := a.answer(r)
	if err == nil {
		resp.Body = closing{resp.Body, &a.closed}
	}
	return resp, err
}

type closing struct {
	io.Reader
	closed *bool
}

func (c closing) Close() error { *c.closed = true; return nil }

// texts answers with a text.
func texts(status int, text io.Reader) answerer {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(text)}, nil
	}
}

func (a *answering) config() *rest.Config { return &rest.Config{Host: "http://api", Transport: a} }

func (a *answering) connect(t *testing.T) *kube {
	t.Helper()
	k, err := connect(a.config())
	require.NoError(t, err)
	return k
}

// sized is an answer of n bytes.
func sized(text string, n int) string {
	return `{"x":"` + strings.Repeat("a", n-len(text)-len(`{"x":"",`)+1) + `",` + text[1:]
}

// labelled is an object with a label.
var labelled = map[string]any{"metadata": map[string]any{"labels": map[string]string{"l": "1"}}}

// calls are the calls of one object.
var calls = map[string]struct {
	call        func(context.Context, *kube) (any, error)
	want        any
	line, sends string
	accept      string
}{
	"get": {
		func(ctx context.Context, k *kube) (any, error) {
			o, err := k.get(ctx, "ns", "rr")
			return o.uid, err
		}, types.UID("u"),
		"GET /apis/kubernaut.ai/v1alpha1/namespaces/ns/remediationrequests/rr?timeout=10s", "", "application/json",
	},
	"create": {
		func(ctx context.Context, k *kube) (any, error) { return k.create(ctx, "ns", labelled) }, types.UID("u"),
		"POST /apis/kubernaut.ai/v1alpha1/namespaces/ns/remediationrequests?fieldManager=onefire&timeout=10s", `{"metadata":{"labels":{"l":"1"}}}`, metadataOnly,
	},
	"patch": {
		func(ctx context.Context, k *kube) (any, error) {
			return k.patchStatus(ctx, "ns", "rr", map[string]any{"a": "b"})
		}, "7",
		"PATCH /apis/kubernaut.ai/v1alpha1/namespaces/ns/remediationrequests/rr/status?fieldManager=onefire&timeout=10s", `{"a":"b"}`, metadataOnly,
	},
	"delete": {
		func(ctx context.Context, k *kube) (any, error) { return nil, k.delete(ctx, "ns", "rr", "u", "7") }, nil,
		"DELETE /apis/kubernaut.ai/v1alpha1/namespaces/ns/remediationrequests/rr?timeout=10s",
		`{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"resourceVersion":"7","uid":"u"}}`, "application/json",
	},
}

const anObject = `{"metadata":{"uid":"u","resourceVersion":"7","name":"rr"}}`

func TestEachCallAsTheAPIServerSeesIt(t *testing.T) {
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			a := &answering{answer: texts(http.StatusOK, strings.NewReader(anObject))}
			got, err := c.call(t.Context(), a.connect(t))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, c.line, a.request.Method+" "+a.request.URL.RequestURI())
			require.Equal(t, c.sends, a.sent)
			require.Equal(t, c.accept, a.request.Header.Get("Accept"))
			require.True(t, a.closed, "its connection can be used again")
			require.ErrorIs(t, a.request.Context().Err(), context.Canceled, "nothing of the call is left")
		})
	}
}

func TestEachCallThatFails(t *testing.T) {
	broken := errors.New("the connection broke")
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			a := &answering{answer: func(*http.Request) (*http.Response, error) { return nil, broken }}
			k := a.connect(t)
			k.onAltered = func(string, string, []string) { t.Error("nothing was made, so nothing was altered") }
			_, err := c.call(t.Context(), k)
			require.ErrorIs(t, err, broken)

			a.answer = func(*http.Request) (*http.Response, error) { return no(http.StatusForbidden, "Forbidden"), nil }
			_, err = c.call(t.Context(), k)
			require.True(t, apierrors.IsForbidden(err), "%v", err)

			a.answer = texts(http.StatusOK, io.MultiReader(strings.NewReader(`{"metadata":`), failing{broken}))
			_, err = c.call(t.Context(), k)
			require.ErrorIs(t, err, broken)

			for range maxCalls {
				_, err := k.limiter.acquire(t.Context())
				require.NoError(t, err)
			}
			a.request = nil
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err = c.call(ctx, k)
			require.ErrorIs(t, err, context.Canceled)
			require.Nil(t, a.request, "it was sent without a slot")
		})
		t.Run(name+" without an answer", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answering{answer: func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }}
				begun := time.Now()
				_, err := c.call(t.Context(), a.connect(t))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, callTimeout, time.Since(begun))
			})
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnswersAreReadUpToTheirBound(t *testing.T) {
	for _, name := range []string{"get", "create", "patch"} {
		a := &answering{}
		for n, want := range map[int]error{maxAnswer - 1: nil, maxAnswer: errTooLarge} {
			a.answer = texts(http.StatusOK, strings.NewReader(sized(anObject, n)))
			_, err := calls[name].call(t.Context(), a.connect(t))
			require.ErrorIs(t, err, want, "%s: %d", name, n)
		}
	}
	endless := &endlessly{}
	a := &answering{answer: texts(http.StatusOK, endless)}
	_, err := calls["delete"].call(t.Context(), a.connect(t))
	require.NoError(t, err)
	require.Equal(t, maxAnswer, endless.n)
}

// endlessly is an answer without an end, that counts what is read of it.
type endlessly struct{ n int }

func (c *endlessly) Read(p []byte) (int, error) { c.n += len(p); return len(p), nil }

func TestAnObjectThatIsNoJSONIsNotSent(t *testing.T) {
	a := &answering{}
	k, body := a.connect(t), map[string]any{"a": func() {}}
	_, err := k.create(t.Context(), "ns", body)
	require.ErrorContains(t, err, "encoding a RemediationRequest: ")
	_, err = k.patchStatus(t.Context(), "ns", "rr", body)
	require.ErrorContains(t, err, "encoding a RemediationRequest: ")
	require.Nil(t, a.request)
}

// The log names what admission altered in the same order each time, and nothing where it
// altered nothing.
func TestWhatIsAlteredIsTold(t *testing.T) {
	body := map[string]any{"metadata": map[string]any{"labels": map[string]string{"d": "1", "b": "1", "e": "1"}, "annotations": map[string]string{"c": "1", "a": "1"}}}
	for range 20 {
		require.Equal(t, []string{"a", "b", "c", "d", "e"}, (&wireObject{}).changes(body))
	}
	a := &answering{answer: texts(http.StatusCreated, bytes.NewReader([]byte(anObject)))}
	k := a.connect(t)
	k.onAltered = func(string, string, []string) { t.Error("nothing was altered") }
	_, err := k.create(t.Context(), "ns", map[string]any{"metadata": map[string]any{}})
	require.NoError(t, err)
}

func TestRejections(t *testing.T) {
	for code, ofNamespace := range map[string]bool{"ERR_K8S_INVALID": false, "ERR_K8S_TOO_LARGE": false, NamespaceNotFound: true, NamespaceTerminating: true} {
		e := &RejectedError{Code: code, Err: errors.New("why")}
		require.Equal(t, ofNamespace, e.OfNamespace(), code)
		require.EqualError(t, e, "why")
	}
	require.EqualError(t, &QuotaError{Err: errors.New("why")}, "why")
}

func TestHowManyLongPastsAreKnown(t *testing.T) {
	k := (&answering{}).connect(t)
	for i := range maxCached + 1 {
		k.long.Add(subject{"ns", fmt.Sprint(i)}, struct{}{})
	}
	require.Equal(t, maxCached, k.long.Len())
}
