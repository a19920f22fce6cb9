package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/config"
	"onefire/function/receive"
)

func TestWhatWasRefusedIsRememberedWithoutItsContent(t *testing.T) {
	b := newBroker(t)
	b.always(http.StatusBadRequest)
	f := start(t, b)
	f.requireStatus(http.StatusBadRequest, simple)
	all := f.memory.known.Values()
	require.Len(t, all, 1)
	var refusal *audit.RefusedError
	require.ErrorAs(t, all[0].refused, &refusal)
	require.Empty(t, refusal.Event, "32,768 events of up to 2 MiB are more than there is memory for")
	require.Equal(t, http.StatusBadRequest, refusal.Status)
	require.NotEmpty(t, f.log.with(t, "event rejected by the sink")[0]["cloudevent"], "the log has it")
}

func TestAnEventThatIsNeverTakenDoesNotSilenceItsNeighboursForEver(t *testing.T) {
	b := newBroker(t)
	b.answers(func(e event.Event, _ *http.Request) (int, map[string]string, string) {
		if e.Extensions()["alertname"] == "B" {
			return http.StatusServiceUnavailable, map[string]string{"Retry-After": "99"}, ""
		}
		return http.StatusAccepted, nil, ""
	})
	f := start(t, b)
	body := hook(firing(0, "alertname=A"), firing(0, "alertname=B"))
	ids := map[string]bool{}
	for minute := range 31 {
		f.at(time.Duration(minute)*time.Minute).requireStatus(http.StatusServiceUnavailable, body)
		for _, id := range b.ids() {
			ids[id] = true
		}
	}
	require.Len(t, ids, 4, "A is new once in openFor")
}

func TestLargeEventsTakeMorePlaces(t *testing.T) {
	b := newBroker(t)
	const webhooks, fit = 5, maxSlots / (maxEnvelope / slotSize)
	came, gate := make(chan struct{}, webhooks*maxParallel), make(chan struct{})
	release := sync.OnceFunc(func() { close(gate) })
	defer release()
	b.answers(func(event.Event, *http.Request) (int, map[string]string, string) {
		came <- struct{}{}
		<-gate
		return http.StatusAccepted, nil, ""
	})
	f := start(t, b)
	answers := make(chan int, webhooks)
	for i := range webhooks {
		var alerts []string
		for j := range maxParallel {
			alerts = append(alerts, firing(0, "alertname=A", fmt.Sprintf("pod=%d-%d", i, j)))
		}
		body := strings.Replace(hook(alerts...), "{", `{"more":"`+strings.Repeat("x", maxEnvelope-1<<10)+`",`, 1)
		go func() {
			status, _ := f.post(body)
			answers <- status
		}()
	}
	// These are megabytes: how long they take says nothing, so nothing but the test's own
	// end bounds it.
	for range fit {
		<-came
	}
	require.Never(t, func() bool { return b.posted() > fit }, time.Second, 10*time.Millisecond)
	release()
	for range webhooks {
		require.Equal(t, http.StatusOK, <-answers)
	}
	require.Equal(t, webhooks*maxParallel, b.posted())
	require.True(t, f.slots.TryAcquire(maxSlots), "every place was given back")
}

func TestAnEventTakesAPlaceForEachPieceOfItsData(t *testing.T) {
	for size, places := range map[int]int64{slotSize - 1: 1, slotSize: 2, 2 * slotSize: 3} {
		b := newBroker(t)
		f := start(t, b, func(c *config.Source) { c.Split = config.SplitNotification })
		free := int64(0)
		b.answers(func(event.Event, *http.Request) (int, map[string]string, string) {
			for f.slots.TryAcquire(1) {
				free++
			}
			f.slots.Release(free)
			return http.StatusAccepted, nil, ""
		})
		f.requireStatus(http.StatusOK, simple+strings.Repeat(" ", size-len(simple)))
		require.Equal(t, maxSlots-places, free, "%d bytes", size)
	}
}

func TestBodiesHaveRoomUpToTheirBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(t.Context(), settings("http://sink.test"), io.Discard)
		require.NoError(t, err)
		read := func(body io.Reader) (release func(), err error) {
			_, release, err = s.bodies.Read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/alertmanager", body), maxBody)
			return release, err
		}
		slow, end := io.Pipe()
		for range maxArriving {
			go func() { _, _ = read(slow) }()
		}
		synctest.Wait()
		require.Equal(t, maxArriving, s.bodies.Arriving())
		_, err = read(strings.NewReader("x"))
		require.ErrorIs(t, err, receive.ErrBusy)
		require.NoError(t, end.Close())
		synctest.Wait()

		for _, size := range []int{maxBody, maxBodies - maxBody} {
			release, err := read(strings.NewReader(strings.Repeat("x", size)))
			require.NoError(t, err)
			defer release()
		}
		_, err = read(strings.NewReader("x"))
		require.ErrorIs(t, err, receive.ErrBusy, "all of its memory is in use")
	})
}

func TestABodyThatNeverComesHoldsNoConnection(t *testing.T) {
	b := newBroker(t)
	s, err := New(t.Context(), settings(b.URL), io.Discard)
	require.NoError(t, err)
	require.Equal(t, headerTimeout+receive.BodyTimeout, s.server.ReadTimeout)
	s.server.ReadTimeout = 100 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	defer func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, s.Stop(ctx), "nor does it hold up a stop")
		require.NoError(t, <-served)
	}()
	b.answers(func(event.Event, *http.Request) (int, map[string]string, string) {
		<-time.After(3 * s.server.ReadTimeout)
		return http.StatusAccepted, nil, ""
	})
	for request, body := range map[string]string{
		// A long delivery is not cut off.
		"GET /health/liveness": "", "POST /elsewhere": "", "POST /alertmanager": simple,
	} {
		conn, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", request, len(simple), body)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, request)
		require.NoError(t, resp.Body.Close())
		if body != "" {
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.NoError(t, conn.Close())
			continue
		}
		_, err = conn.Read(make([]byte, 1))
		var late net.Error
		require.False(t, errors.As(err, &late) && late.Timeout(), "%s: the connection is still there", request)
		require.NoError(t, conn.Close())
	}
}
