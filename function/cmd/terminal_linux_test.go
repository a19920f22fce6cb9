package cmd

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"onefire/dedup"
)

// terminal is a terminal with some lines, and what was written to it so far.
func terminal(t *testing.T, lines uint16) (out *os.File, written func() string) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { screen.Close() })
	control := func(request uintptr, argument unsafe.Pointer) {
		_, _, problem := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(argument))
		require.Zero(t, problem, problem)
	}
	locked, number := int32(0), uint32(0)
	control(syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	control(syscall.TIOCGPTN, unsafe.Pointer(&number))
	size := struct{ lines, columns, x, y uint16 }{lines: lines, columns: 120}
	control(syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	out, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { out.Close() })
	return out, func() string {
		const end = "END"
		_, err := out.WriteString(end)
		require.NoError(t, err)
		var all bytes.Buffer
		for b := make([]byte, 4096); !strings.HasSuffix(all.String(), end); {
			n, err := screen.Read(b)
			require.NoError(t, err)
			all.Write(b[:n])
		}
		return strings.ReplaceAll(strings.TrimSuffix(all.String(), end), "\r\n", "\n")
	}
}

func TestATerminalHasItsHeight(t *testing.T) {
	out, _ := terminal(t, 37)
	require.Equal(t, 37, height(out))
}

func TestAWatchKeepsItsTerminalCurrent(t *testing.T) {
	const clear = "\x1b[H\x1b[2J2026-01-17T12:00:00Z, namespace onefire: "
	one := []dedup.Request{burning("a", 1)}
	for _, lines := range []uint16{1, 40} {
		out, written := terminal(t, lines)
		_, _, err := watchedOn(t, out, "text", one, one, one)
		require.NoError(t, err)
		require.Equal(t, 3, strings.Count(written(), clear+"1 request\nFINGERPRINT "), "ages change although no request does")

		_, _, err = watchedOn(t, out, "json", one, one, one)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(written(), "\"name\""), "a program gets what changed")
	}
}

func TestAPruneShowsItsProgressOnATerminal(t *testing.T) {
	f := fix(t, PruneOptions{}, nil)
	out, written := terminal(t, 40)
	var log bytes.Buffer
	environment := map[string]string{"KUBECONFIG": kubeconfigFor(t, f.URL), "POD_NAMESPACE": "onefire", "TTL": "0"}
	require.Zero(t, Main(t.Context(), []string{"prune"}, environment, Streams{Out: &log, Err: out}))
	require.Equal(t, "\ronefire: dead letters: 0 read, 0 deleted\x1b[K\r\x1b[K", written())
	require.Contains(t, log.String(), "prune finished")
}

func TestABacktestShowsItsProgressOnATerminal(t *testing.T) {
	s := newServer(t, func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n != 2 {
			return false
		}
		fmt.Fprint(w, `{"warnings":["w"],`+nothingFired[1:])
		return true
	}, (*httptest.Server).Start)
	out, written := terminal(t, 40)
	b, at := backtestFlags(flag.NewFlagSet("", flag.ContinueOnError)), time.Now()
	b.url, b.since, b.now = s.URL+"/prometheus", 48*time.Hour, func() time.Time {
		at = at.Add(progressEvery)
		return at
	}
	_, _, _, err := b.read(t.Context(), out)
	require.NoError(t, err)
	const shown = `\ronefire: read up to \S+, \d+ %, 1 label set\x1b\[K`
	require.Regexp(t, "^"+shown+`\r\x1b\[Konefire: the server warns: w\n`+shown+shown+`\r\x1b\[K$`, written())
}
