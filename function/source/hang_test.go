package source

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"onefire/config"
	"onefire/function/receive"
)

// patience bounds every wait for something that takes milliseconds.
const patience = 5 * time.Second

// stuck makes a broker wait until release is called.
func (b *broker) stuck(t *testing.T) (release func()) {
	gate := make(chan struct{})
	b.answers(func(event.Event, *http.Request) (int, map[string]string, string) {
		<-gate
		return http.StatusAccepted, nil, ""
	})
	open := false
	release = func() {
		if !open {
			open = true
			close(gate)
		}
	}
	t.Cleanup(release)
	return release
}

func TestWhoHangsUpCutsNoDeliveryOff(t *testing.T) {
	b := newBroker(t)
	release := b.stuck(t)
	f := start(t, b)
	ctx, hangUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.web.URL+"/alertmanager", strings.NewReader(simple))
	require.NoError(t, err)
	gone := make(chan error, 1)
	go func() {
		_, err := f.web.Client().Do(req) //nolint:bodyclose // There is no answer.
		gone <- err
	}()
	require.Eventually(t, func() bool { return b.posted() == 1 }, patience, time.Millisecond)
	hangUp()
	require.Error(t, <-gone)
	// The source notices that too, and goes on.
	require.Never(t, func() bool { return !f.underWay(1) }, 100*time.Millisecond, 10*time.Millisecond)
	release()
	require.Eventually(t, func() bool { return !f.underWay(1) }, patience, time.Millisecond)
	require.Len(t, b.ids(), 1)
	// Alertmanager hung up, so it did not get the answer, and it sends the webhook
	// again long after the window.
	require.Equal(t, "0 events accepted, 1 already accepted, 0 rejected", f.at(5*length).requireStatus(http.StatusOK, simple))
}

func TestADeliveryHasADeadline(t *testing.T) {
	b := newBroker(t)
	release := b.stuck(t)
	f := start(t, b, func(c *config.Source) { c.DeliveryTimeout = 50 * time.Millisecond })
	require.Equal(t, "1 of 1 events could not be sent: the sink is not available: not accepted within DELIVERY_TIMEOUT, 50ms",
		f.requireStatus(http.StatusServiceUnavailable, simple))
	release()
}

func TestTooManyWebhooksAreTurnedAway(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	require.True(t, f.requests.TryAcquire(maxRequests))
	resp, err := f.web.Client().Post(f.web.URL+"/alertmanager", "application/json", strings.NewReader(simple))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.Equal(t, retryAfter, resp.Header.Get("Retry-After"))
	f.requests.Release(maxRequests)
	f.requireStatus(http.StatusOK, simple)
}

func TestTooManyBytesAreTurnedAway(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	f.bodies = receive.NewBodies(1, int64(len(simple)))
	f.requireStatus(http.StatusServiceUnavailable, strings.Replace(simple, "{", "{ ", 1))
	for range 3 {
		f.requireStatus(http.StatusOK, simple) // Every byte was given back.
	}
}

func TestAWebhookThatFindsNoPlaceInTimeIsA503(t *testing.T) {
	b := newBroker(t)
	f := start(t, b, func(c *config.Source) { c.DeliveryTimeout = 50 * time.Millisecond })
	require.True(t, f.slots.TryAcquire(maxSlots))
	f.requireStatus(http.StatusServiceUnavailable, simple)
	f.slots.Release(maxSlots)
	f.requireStatus(http.StatusOK, simple)
}

func TestEventsGoInParallelWithinBounds(t *testing.T) {
	b := newBroker(t)
	release := b.stuck(t)
	f := start(t, b)
	var alerts []string
	for i := range 3 * maxParallel {
		alerts = append(alerts, firing(0, "alertname=A", fmt.Sprintf("pod=%d", i)))
	}
	answer := make(chan int, 1)
	go func() {
		status, _ := f.post(hook(alerts...))
		answer <- status
	}()
	require.Eventually(t, func() bool { return b.posted() == maxParallel }, patience, time.Millisecond)
	require.Never(t, func() bool { return b.posted() > maxParallel }, 50*time.Millisecond, 10*time.Millisecond)
	release()
	require.Equal(t, http.StatusOK, <-answer)
	require.Equal(t, 3*maxParallel, b.posted())
}

func TestStopAnswersWhatIsUnderWay(t *testing.T) {
	b := newBroker(t)
	release := b.stuck(t)
	s, err := New(t.Context(), settings(b.URL), io.Discard)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	url := "http://" + listener.Addr().String()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	require.Equal(t, http.StatusOK, get(t, client, url+"/health/readiness"))
	require.Equal(t, http.StatusOK, get(t, client, url+"/health/liveness"))

	answer := make(chan int, 1)
	go func() {
		resp, err := client.Post(url+"/alertmanager", "application/json", strings.NewReader(simple))
		if err != nil {
			answer <- 0
			return
		}
		resp.Body.Close()
		answer <- resp.StatusCode
	}()
	require.Eventually(t, func() bool { return b.posted() == 1 }, patience, time.Millisecond)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(t.Context()) }()
	require.Eventually(t, s.stopping.Load, patience, time.Millisecond)
	ready := httptest.NewRecorder()
	s.server.Handler.ServeHTTP(ready, httptest.NewRequest(http.MethodGet, "/health/readiness", nil))
	require.Equal(t, http.StatusServiceUnavailable, ready.Code)
	require.Equal(t, "stopping\n", ready.Body.String())
	release()
	require.Equal(t, http.StatusOK, <-answer)
	require.NoError(t, <-stopped)
	require.NoError(t, <-served)
}

func get(t *testing.T, client *http.Client, url string) int {
	t.Helper()
	resp, err := client.Get(url)
	require.NoError(t, err)
	resp.Body.Close()
	return resp.StatusCode
}

func TestAStopHasADeadline(t *testing.T) {
	b := newBroker(t)
	release := b.stuck(t)
	s, err := New(t.Context(), settings(b.URL), io.Discard)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /alertmanager HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(simple), simple)
	require.Eventually(t, func() bool { return b.posted() == 1 }, patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = s.Stop(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "stopping while webhooks are being delivered: ")
	require.NoError(t, <-served)
	_, err = bufio.NewReader(conn).ReadByte()
	require.Error(t, err, "Alertmanager hears of it, and sends it again")
	release()
}
