package source

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
	"onefire/function/receive"
)

// slowly begins a webhook over a connection of its own, sends one byte of it, and
// then nothing until the test is over.
func (f *fixture) slowly() net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.web.Listener.Addr().String())
	require.NoError(f.t, err)
	f.t.Cleanup(func() { c.Close() })
	_, err = io.WriteString(c, "POST /alertmanager HTTP/1.1\r\nHost: source\r\nContent-Length: 1000\r\n\r\nx")
	require.NoError(f.t, err)
	return c
}

func TestSlowSendersShutNobodyOut(t *testing.T) {
	const neighbours = 60
	f := start(t, newBroker(t))
	for range maxArriving - 8 { // More than are delivered at once.
		f.slowly()
	}
	require.Eventually(t, func() bool { return f.bodies.Arriving() == maxArriving-8 }, patience, time.Millisecond)
	for i := range neighbours {
		f.requireStatus(http.StatusOK, hook(firing(0, "alertname=A", fmt.Sprintf("pod=%d", i))))
	}
	require.Equal(t, maxArriving-8, f.bodies.Arriving(), "all that time")
}

func TestStrangersTakeNoRoom(t *testing.T) {
	f := start(t, newBroker(t), func(c *config.Source) { c.TokenFile = file(t, "token", "s3cret") })
	// Nobody's body has room, and nothing may be delivered.
	f.bodies = receive.NewBodies(0, 0)
	require.True(t, f.requests.TryAcquire(maxRequests))
	status, _ := f.show("Bearer wrong")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = f.show("Bearer s3cret")
	require.Equal(t, http.StatusServiceUnavailable, status)
	c := f.slowly()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	answer, err := io.ReadAll(c)
	require.NoError(t, err, "the connection ends, and not in the middle of an answer")
	require.Contains(t, string(answer), "HTTP/1.1 401 ")
	require.Contains(t, string(answer), "Connection: close\r\n")
}

func TestStrangersDoNotFillTheLog(t *testing.T) {
	f := start(t, newBroker(t), func(c *config.Source) { c.TokenFile = file(t, "token", "s3cret") })
	wrong := func() {
		status, _ := f.show("Bearer wrong")
		require.Equal(t, http.StatusUnauthorized, status)
	}
	for range 100 {
		wrong()
	}
	require.Len(t, f.log.with(t, "webhook not accepted"), 1)
	f.sink.always(http.StatusServiceUnavailable)
	status, _ := f.show("Bearer s3cret")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Len(t, f.log.with(t, "webhook not accepted"), 2, "nor do they hide that the sink is down")
	f.at(refusalPause)
	wrong()
	lines := f.log.with(t, "webhook not accepted")
	require.Len(t, lines, 3)
	require.InDelta(t, 99, lines[2]["unlogged"], 0)
}

func TestNoPasswordOfTheSinkIsLogged(t *testing.T) {
	b := newBroker(t)
	b.always(http.StatusServiceUnavailable)
	f := start(t, b, func(c *config.Source) { c.Sink = strings.Replace(c.Sink, "http://", "http://user:hush@", 1) })
	served := make(chan error, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { served <- f.Serve(l) }()
	require.NotContains(t, f.requireStatus(http.StatusServiceUnavailable, simple), "hush")
	b.Close()
	require.NotContains(t, f.requireStatus(http.StatusServiceUnavailable, simple), "hush", "nor where nobody answers")
	require.Eventually(t, func() bool { return len(f.log.with(t, "started")) == 1 }, patience, time.Millisecond)
	f.server.Close()
	require.NoError(t, <-served)
	require.NotContains(t, f.log.String(), "hush")
	require.Contains(t, f.log.String(), "user:xxxxx@")
}
