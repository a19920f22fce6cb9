package receive

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

// After its answer the Receiver reads no more of the body.
func TestAConnectionEndsWithAnAnswerToABodyThatWasNotRead(t *testing.T) {
	for reason, row := range map[string]struct {
		request *http.Request
		ready   func(*Receiver)
		status  int
		ends    bool
	}{
		"read":         {post("x"), func(*Receiver) {}, 200, false},
		"not a POST":   {httptest.NewRequest(http.MethodPut, "/", strings.NewReader("x")), func(*Receiver) {}, 405, true},
		"too large":    {post("12345678901"), func(*Receiver) {}, 413, true},
		"a stranger's": {post("x"), func(v *Receiver) { v.Admit = admitNobody }, 401, true},
		"too late":     {post("x"), func(v *Receiver) { v.requests.closed = true }, 503, true},
		"no room":      {post("x"), func(v *Receiver) { v.bodies.most = 0 }, 503, true},
	} {
		t.Run(reason, func(t *testing.T) {
			v, w := New(small), httptest.NewRecorder()
			row.ready(v)
			require.Equal(t, row.status, v.Serve(w, row.request, silent(), done).Status)
			require.Equal(t, row.ends, w.Header().Get("Connection") == "close")
		})
	}
}

func admitNobody(context.Context, http.ResponseWriter, *http.Request) *Answer {
	a := Refuse(http.StatusUnauthorized, "no")
	return &a
}

// A sender does not make room for itself.
func TestASlowSenderAloneIsNotTooSlowButTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New(Bounds{Body: 1 << 20, Bodies: 100, Arriving: 1, Requests: 1, Timeout: small.Timeout})
		alone := send(v)
		require.True(t, alone.piece(strings.Repeat("x", 60)))
		pass(hopelessAfter + time.Second)
		alone.piece(strings.Repeat("x", 50))
		require.Contains(t, (<-alone.answer).Reason, ErrBusy.Error())
		require.EqualValues(t, 100, v.bodies.left)
	})
}

// Knative's Broker says when it took an event.
func TestWhenABrokerTookAnEvent(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for reason, row := range map[string]struct {
		said any
		want time.Time
	}{
		"a time":      {at.Format(time.RFC3339), at},
		"nothing":     {nil, time.Time{}},
		"no time":     {"soon", time.Time{}},
		"half a time": {"2026-01-02T03:04", time.Time{}},
	} {
		t.Run(reason, func(t *testing.T) {
			e := event.New()
			if row.said != nil {
				e.SetExtension("knativearrivaltime", row.said)
			}
			require.True(t, row.want.Equal(Arrived(e)))
		})
	}
}
