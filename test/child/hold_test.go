package child

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// holder makes of this test's binary a process that holds a folder.
const holder = "ONEFIRE_TEST_HOLDS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holder); dir != "" {
		if _, err := Hold(dir); err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString("held\n")
		select {} // Until it is killed.
	}
	goleak.VerifyTestMain(m)
}

func TestAFolderIsHeldUntilItsProcessEnds(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), holder+"="+dir)
	other.SysProcAttr = DiesWithUs()
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	require.True(t, bufio.NewScanner(out).Scan())

	_, err = Hold(dir)
	require.EqualError(t, err, dir+" is in use by the process "+strconv.Itoa(other.Process.Pid)+": stop that one first")

	require.NoError(t, other.Process.Kill())
	require.Error(t, other.Wait(), "it was killed")
	release, err := Hold(dir)
	require.NoError(t, err, "a process that was killed holds nothing")
	_, err = Hold(dir)
	require.ErrorContains(t, err, "process "+strconv.Itoa(os.Getpid())+":")
	release()
	release, err = Hold(dir)
	require.NoError(t, err)
	release()
	_, err = Hold(dir + "/nowhere")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestABusyAddressIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorContains(t, Unused(l.Addr().String()), "another program has "+l.Addr().String()+": end it, or choose another address")
	require.NoError(t, l.Close())
	require.NoError(t, Unused(l.Addr().String()))
}

// An answerer answers in its way until the test ends.
func answerer(t *testing.T, answer http.HandlerFunc) string {
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return s.URL
}

func TestAChildIsReadyWhenItAnswers200(t *testing.T) {
	asked := 0
	url := answerer(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	require.NoError(t, Ready(t.Context(), url, make(chan error)))
	require.Equal(t, 3, asked)
}

func TestAChildThatEndedIsNotReady(t *testing.T) {
	gone := errors.New("its address is taken")
	for reason, answer := range map[string]http.HandlerFunc{
		"somebody else answers 200": func(http.ResponseWriter, *http.Request) {},
		"somebody else never answers": func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		},
	} {
		t.Run(reason, func(t *testing.T) {
			ended := make(chan error, 1)
			ended <- gone
			require.ErrorIs(t, Ready(t.Context(), answerer(t, answer), ended), gone)
		})
	}
}

func TestWaitingForAnAnswerEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	url := answerer(t, func(_ http.ResponseWriter, r *http.Request) {
		stop() // As Ctrl-C does.
		<-r.Context().Done()
	})
	require.ErrorIs(t, Ready(ctx, url, make(chan error)), context.Canceled)
	ctx, stop = context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	require.ErrorIs(t, Ready(ctx, "http://127.0.0.1:1", make(chan error)), context.DeadlineExceeded)
}
