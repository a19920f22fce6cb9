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
)

// watched notes what is asked of a connection, with the seconds from the beginning.
type watched struct {
	*httptest.ResponseRecorder
	begun time.Time
	calls []string
}

func (w *watched) note(what string, at time.Time) error {
	text := "none"
	if !at.IsZero() {
		text = at.Sub(w.begun).String()
	}
	w.calls = append(w.calls, what+" "+text)
	return nil
}

func (w *watched) SetReadDeadline(at time.Time) error  { return w.note("read", at) }
func (w *watched) SetWriteDeadline(at time.Time) error { return w.note("write", at) }

func (w *watched) FlushError() error {
	w.calls = append(w.calls, "flush")
	w.Flush()
	return nil
}

// An answer has its deadlines, is on its way when Write returns, and leaves no
// deadline to the connection's next request.
func TestAnAnswerKeepsToItsTimes(t *testing.T) {
	reply := event.New()
	reply.SetID("1")
	reply.SetSource("s")
	reply.SetType("t")
	for reason, row := range map[string]struct {
		answer Answer
		calls  []string
	}{
		"done":    {OK(), []string{"write 4s", "flush", "write none"}},
		"a reply": {Answer{Status: 200, Reply: &reply}, []string{"write 4s", "flush", "write none"}},
		"refused": {Refuse(400, "no"), []string{"write 4s", "flush", "write none"}},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watched{ResponseRecorder: httptest.NewRecorder(), begun: time.Now()}
				row.answer.Write(w, post(""))
				require.Equal(t, row.calls, w.calls)
				require.True(t, w.Flushed)
			})
		})
	}
}

// A connection ends with an answer that came before the body was read.
func TestAConnectionEndsWhereABodyIsStillToCome(t *testing.T) {
	for reason, row := range map[string]struct {
		length int64
		major  int
		calls  []string
	}{
		"a length":          {5, 1, []string{"read 500ms"}},
		"an unknown length": {-1, 1, []string{"read 500ms"}},
		"no body":           {0, 1, nil},
		"one of several":    {5, 2, nil},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r := &watched{ResponseRecorder: httptest.NewRecorder(), begun: time.Now()}, post("")
				r.ContentLength, r.ProtoMajor = row.length, row.major
				HangUp(w, r)
				require.Equal(t, row.calls, w.calls)
				require.Equal(t, row.calls != nil, w.Header().Get("Connection") == "close")
			})
		})
	}
}

func TestTheHeadersOfAnAnswer(t *testing.T) {
	w := httptest.NewRecorder()
	OK().Write(w, post(""))
	require.Equal(t, http.Header{"Content-Length": {"0"}}, w.Header())
	w = httptest.NewRecorder()
	Refuse(400, "no").Write(w, post(""))
	require.Equal(t, http.Header{"Content-Length": {"3"}, "Content-Type": {"text/plain; charset=utf-8"}}, w.Header())
}

func TestAReasonIsCutAtItsBound(t *testing.T) {
	require.Equal(t, strings.Repeat("x", maxReason), Refuse(400, "%s", strings.Repeat("x", maxReason)).Reason)
	require.Equal(t, strings.Repeat("x", maxReason)+"…", Refuse(400, "%s", strings.Repeat("x", maxReason+1)).Reason)
}

// A body has its time, and leaves no deadline behind.
func TestABodyKeepsToItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{ResponseRecorder: httptest.NewRecorder(), begun: time.Now()}
		body, release, err := NewBodies(1, 5).Read(w, post("12345"), 5)
		defer release()
		require.NoError(t, err)
		require.Equal(t, "12345", string(body))
		require.Equal(t, []string{"read 10s", "read none"}, w.calls)
	})
}

// A body that says that it is too large is not read, whatever comes.
func TestATooLargeContentLengthIsRefusedUnread(t *testing.T) {
	r := post("")
	r.Body = io.NopCloser(reader(func([]byte) (int, error) {
		require.Fail(t, "it was read")
		return 0, io.EOF
	}))
	r.ContentLength = 11
	b := NewBodies(1, 15)
	_, release, err := b.Read(httptest.NewRecorder(), r, 10)
	var tooLarge *http.MaxBytesError
	require.ErrorAs(t, err, &tooLarge)
	require.EqualValues(t, 10, tooLarge.Limit)
	release()
	require.EqualValues(t, 15, b.left)
	require.Zero(t, b.Arriving())
}

// The Receiver gives back the memory of a body, however reading it ended.
func TestBytesComeBackAfterFailures(t *testing.T) {
	pieces := func(err error) io.Reader {
		read := false
		return reader(func(p []byte) (int, error) {
			if read {
				return 0, err
			}
			read = true
			return copy(p, "12345"), nil
		})
	}
	for reason, row := range map[string]struct {
		body io.Reader
		took int64
	}{
		"all of it":            {pieces(io.EOF), 5},
		"half of it":           {pieces(errors.New("gone")), 5},
		"more than is allowed": {strings.NewReader("12345678901"), 10},
	} {
		t.Run(reason, func(t *testing.T) {
			b := NewBodies(1, 15)
			r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(row.body))
			r.ContentLength = -1
			_, release, _ := b.Read(httptest.NewRecorder(), r, 10)
			require.Equal(t, 15-row.took, b.left, "it is held until it is given back")
			release()
			release() // Twice is as good as once.
			require.EqualValues(t, 15, b.left)
			require.Zero(t, b.Arriving())
		})
	}
}

// Each answer is told with how long it took, and the receiver asks who may send before
// it reads anything.
func TestAnAnswerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New(small)
		var told []string
		v.Answered = func(_ context.Context, status int, took time.Duration) {
			told = append(told, http.StatusText(status)+" "+took.String())
		}
		v.Serve(httptest.NewRecorder(), post("x"), silent(), func(context.Context, []byte) Answer {
			pass(3 * time.Second)
			return OK()
		})
		no := Refuse(http.StatusForbidden, "no")
		v.Admit = func(context.Context, http.ResponseWriter, *http.Request) *Answer { return &no }
		r := post("x")
		r.Body = io.NopCloser(reader(func([]byte) (int, error) {
			require.Fail(t, "it was read")
			return 0, io.EOF
		}))
		require.Equal(t, no, v.Serve(httptest.NewRecorder(), r, silent(), done))
		v.Admit = func(context.Context, http.ResponseWriter, *http.Request) *Answer { return nil }
		require.Equal(t, OK(), v.Serve(httptest.NewRecorder(), post("x"), silent(), done))
		require.Equal(t, []string{"OK 3s", "Forbidden 0s", "OK 0s"}, told)
	})
}

// The oldest request counts, not the newest.
func TestTheOldestRequestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := requests{}
		first, _ := r.begin()
		pass(2 * time.Second)
		second, _ := r.begin()
		pass(time.Second)
		third, ok := r.begin()
		require.True(t, ok)
		for range 20 { // In whatever order a map has them.
			require.Equal(t, 3*time.Second, r.oldest())
		}
		first()
		require.Equal(t, time.Second, r.oldest())
		closed := make(chan error, 2)
		go func() { closed <- r.close(t.Context()) }()
		go func() { closed <- r.close(t.Context()) }() // Twice is as good as once.
		synctest.Wait()
		second()
		synctest.Wait()
		require.Empty(t, closed)
		third()
		require.NoError(t, <-closed)
		require.NoError(t, <-closed)
	})
}

func TestAPanicIsLoggedWithItsStack(t *testing.T) {
	var text strings.Builder
	New(small).Serve(httptest.NewRecorder(), post("x"), slog.New(slog.NewJSONHandler(&text, nil)), func(context.Context, []byte) Answer { panic("oh") })
	require.Contains(t, text.String(), `"cause":"oh"`)
	require.Contains(t, text.String(), "TestAPanicIsLoggedWithItsStack")
}

func TestATraceparentOfTheEventStays(t *testing.T) {
	r := post(`{"specversion":"1.0","id":"1","source":"s","type":"t","traceparent":"00-own"}`)
	r.Header.Set("Content-Type", "application/cloudevents+json")
	r.Header.Set("Traceparent", "00-hop")
	e, _ := Decode(r, []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","traceparent":"00-own"}`))
	require.Equal(t, "00-own", e.Extensions()["traceparent"])
	r.Header.Del("Traceparent")
	e, _ = Decode(r, []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t"}`))
	require.NotContains(t, e.Extensions(), "traceparent")
}
