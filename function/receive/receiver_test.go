package receive

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var small = Bounds{Body: 10, Bodies: 15, Arriving: 4, Requests: 2, Timeout: 25 * time.Second}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func done(context.Context, []byte) Answer { return OK() }

func post(body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
}

// reader is a body that is read as the test wants it.
type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

func TestAnswers(t *testing.T) {
	reply := event.New()
	reply.SetID("1")
	reply.SetSource("s")
	reply.SetType("t")
	for reason, row := range map[string]struct {
		request    *http.Request
		handle     func(context.Context, []byte) Answer
		status     int
		body       string
		retryAfter string
	}{
		"done":               {post("x"), done, 200, "", ""},
		"a reply":            {post("x"), func(context.Context, []byte) Answer { return Answer{Status: 200, Reply: &reply} }, 200, "", ""},
		"refused":            {post("x"), func(context.Context, []byte) Answer { return Refuse(400, "%s", "no") }, 400, "no\n", ""},
		"later":              {post("x"), func(context.Context, []byte) Answer { return Refuse(503, "busy") }, 503, "busy\n", "5"},
		"full":               {post("x"), func(context.Context, []byte) Answer { return Refuse(507, "full") }, 507, "full\n", "5"},
		"a panic":            {post("x"), func(context.Context, []byte) Answer { panic("x") }, 500, "internal error: see the log\n", ""},
		"not a POST":         {httptest.NewRequest(http.MethodPut, "/", nil), done, 405, "POST a CloudEvent\n", ""},
		"too large":          {post("12345678901"), done, 413, "the body is larger than 10 bytes\n", ""},
		"too large, chunked": {httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("12345678901"))), done, 413, "the body is larger than 10 bytes\n", ""},
		"half a body":        {httptest.NewRequest(http.MethodPost, "/", reader(func([]byte) (int, error) { return 0, errors.New("gone") })), done, 503, "reading the body: gone\n", "5"},
		"a long reason":      {post("x"), func(context.Context, []byte) Answer { return Refuse(400, "%s", strings.Repeat("é", 1000)) }, 400, strings.Repeat("é", 512) + "…\n", ""},
	} {
		t.Run(reason, func(t *testing.T) {
			v, w := New(small), httptest.NewRecorder()
			a := v.Serve(w, row.request, silent(), row.handle)
			require.Equal(t, row.status, a.Status)
			require.Equal(t, row.status, w.Code)
			require.Equal(t, row.body, w.Body.String())
			require.Equal(t, row.retryAfter, w.Header().Get("Retry-After"))
			require.Equal(t, row.status == 405, w.Header().Get("Allow") != "")
			require.Equal(t, small.Bodies, v.bodies.left, "all memory was given back")
			require.Empty(t, v.bodies.arriving)
			require.True(t, v.slots.TryAcquire(int64(small.Requests)), "every place was given back")
			require.Zero(t, v.Oldest(), "no request is left")
		})
	}
}

func TestWhatGoesOverABoundIsAnsweredAtOnce(t *testing.T) {
	v := New(small)
	nested := func(next func() Answer) func(context.Context, []byte) Answer {
		return func(context.Context, []byte) Answer { return next() }
	}
	serve := func(body string, handle func(context.Context, []byte) Answer) Answer {
		return v.Serve(httptest.NewRecorder(), post(body), silent(), handle)
	}
	require.Equal(t, 503, serve("12345678", nested(func() Answer { return serve("12345678", done) })).Status, "too many bytes")
	require.Equal(t, 200, serve("12345678", nested(func() Answer { return serve("1234567", done) })).Status)
	require.Equal(t, 503, serve("", nested(func() Answer { return serve("", nested(func() Answer { return serve("", done) })) })).Status, "too many requests")
}

func TestAnEventIsFinishedWithinItsTimeWhoeverHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		a := New(small).Serve(httptest.NewRecorder(), post("x").WithContext(ctx), silent(), func(ctx context.Context, _ []byte) Answer {
			require.NoError(t, ctx.Err())
			<-ctx.Done()
			return Refuse(503, "out of time")
		})
		require.Equal(t, 503, a.Status)
		require.Equal(t, small.Timeout, time.Since(began))
	})
}

func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New(small)
		go v.Serve(httptest.NewRecorder(), post("x"), silent(), func(context.Context, []byte) Answer {
			<-time.After(3 * time.Second)
			return OK()
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, v.Close(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, v.Oldest())
		require.Equal(t, 503, v.Serve(httptest.NewRecorder(), post("x"), silent(), done).Status, "it is too late for more")
		require.NoError(t, v.Close(t.Context()))
		require.Zero(t, v.Oldest())
	})
}

func TestDecode(t *testing.T) {
	for reason, row := range map[string]struct {
		headers map[string]string
		body    string
		status  int
	}{
		"binary":      {map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "s", "Ce-Type": "t", "Traceparent": "00-1"}, `{}`, 0},
		"structured":  {map[string]string{"Content-Type": "application/cloudevents+json", "Traceparent": "00-1"}, `{"specversion":"1.0","id":"1","source":"s","type":"t"}`, 0},
		"neither":     {map[string]string{"Content-Type": "application/json"}, `{}`, 415},
		"broken JSON": {map[string]string{"Content-Type": "application/cloudevents+json"}, `{`, 400},
	} {
		t.Run(reason, func(t *testing.T) {
			r := post(row.body)
			for name, value := range row.headers {
				r.Header.Set(name, value)
			}
			e, a := Decode(r, []byte(row.body))
			require.Equal(t, row.status, a.Status)
			if row.status == 0 {
				require.Equal(t, "1", e.ID())
				require.Equal(t, "00-1", e.Extensions()["traceparent"], "the trace is kept with the event")
			}
		})
	}
}
