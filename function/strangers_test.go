package function

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/function/kube"
)

// pipes is a listener for connections in memory.
type pipes struct {
	made chan net.Conn
	once sync.Once
	over chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.over:
		return nil, errors.New("it is over")
	}
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.over) })
	return nil
}

// dial makes a connection, or returns nil when it is over.
func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	select {
	case p.made <- there:
		return here
	case <-p.over:
		return nil
	}
}

// slowly sends a request of one byte at a time, on a new connection whenever the
// last one has ended, until it is over.
func (p *pipes) slowly(pace time.Duration) {
	for c := p.dial(); c != nil; c = p.dial() {
		go func() { _, _ = io.Copy(io.Discard, c) }() // It does not wait for an answer.
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: onefire\r\nContent-Length: 1000\r\n"+strings.ReplaceAll(ceHeaders, "ID", "slow")+"\r\n")
		for ; err == nil; _, err = io.WriteString(c, "x") {
			pass(pace)
		}
		c.Close()
		pass(pace)
	}
}

const ceHeaders = "Ce-Specversion: 1.0\r\nCe-Type: t\r\nCe-Source: /s\r\nCe-Id: ID\r\n"

func TestSlowStrangersShutNobodyOut(t *testing.T) {
	const (
		senders    = maxArriving + 176
		neighbours = 225
		pace       = 500 * time.Millisecond
	)
	for name, who := range map[string]fakeSenders{
		"everybody may send": nil,
		"only with a token": func(h http.Header) (string, error) {
			if h.Get("Authorization") == "" {
				return "", kube.ErrUnknownSender
			}
			return "neighbour", nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				if who != nil {
					f.service.admission.senders = who
				}
				p := &pipes{made: make(chan net.Conn), over: make(chan struct{})}
				server := &http.Server{Handler: f}
				served := make(chan error, 1)
				go func() { served <- server.Serve(p) }()
				var slow sync.WaitGroup
				for range senders {
					slow.Go(func() { p.slowly(pace) })
				}
				pass(3 * pace)
				answers := map[int]int{}
				for i := range neighbours {
					c := p.dial()
					body := webhook(alert("firing", "alertname=A"))
					go func() {
						fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: onefire\r\nAuthorization: Bearer x\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
							strings.ReplaceAll(ceHeaders, "ID", fmt.Sprint(i)), len(body), body)
					}()
					resp, err := http.ReadResponse(bufio.NewReader(c), nil)
					require.NoError(t, err)
					resp.Body.Close()
					c.Close()
					answers[resp.StatusCode]++
					pass(pace / 10)
				}
				require.Equal(t, map[int]int{http.StatusOK: neighbours}, answers)
				require.NoError(t, p.Close())
				server.Close()
				slow.Wait()
				require.Error(t, <-served)
			})
		})
	}
}
