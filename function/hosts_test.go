package function_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	fhttp "knative.dev/func-go/http"

	"onefire/function"
)

// hostAddress makes this test binary a Functions Framework host: the framework
// has no way to stop, so it gets a process of its own.
const hostAddress = "ONEFIRE_TEST_HOST"

func TestMain(m *testing.M) {
	if address := os.Getenv(hostAddress); address != "" {
		host, port, _ := net.SplitHostPort(address)
		f := function.NewForWire()
		if err := funcframework.RegisterHTTPFunctionContext(context.Background(), "/", f.ServeHTTP); err != nil {
			panic(err)
		}
		panic(funcframework.StartHostPort(host, port))
	}
	goleak.VerifyTestMain(m)
}

func TestBothHostsGiveByteIdenticalAnswers(t *testing.T) {
	middleware := httptest.NewServer(fhttp.New(function.NewForWire()).Handler)
	defer middleware.Close()
	framework := startFramework(t)
	for name, request := range function.Wire() {
		t.Run(name, func(t *testing.T) {
			want := exchange(t, middleware.Listener.Addr().String(), request)
			require.Equal(t, want, exchange(t, framework, request))
			require.Contains(t, want, "HTTP/1.1 ")
		})
	}
}

func startFramework(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), hostAddress+"="+address)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		require.NoError(t, child.Process.Kill())
		_ = child.Wait() // It was killed, and says so.
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return address
}

var date = regexp.MustCompile(`(?m)^Date: .*$`)

// exchange sends a request over a connection of its own and returns every byte
// of the answer but the date.
func exchange(t *testing.T, address string, r *http.Request) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	r = r.Clone(t.Context())
	r.Body, err = r.GetBody()
	require.NoError(t, err)
	r.Host, r.Close = "onefire", true
	written := make(chan struct{})
	go func() {
		defer close(written)
		// A host may answer and close before it has read all of it.
		_ = r.Write(c)
	}()
	answer, err := readAnswer(c)
	<-written
	require.NoError(t, err)
	return date.ReplaceAllString(answer, "Date: -")
}

func readAnswer(c net.Conn) (string, error) {
	var seen bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &seen)), nil)
	if err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		return "", fmt.Errorf("reading the answer's body: %w", err)
	}
	return seen.String(), nil
}
