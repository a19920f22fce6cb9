package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/dedup"
)

// watched is what a watch writes when its listings are these, one after the other.
func watched(t *testing.T, format string, pages ...any) (out, problems string, pauses []time.Duration, err error) {
	t.Helper()
	var o bytes.Buffer
	problems, pauses, err = watchedOn(t, &o, format, pages...)
	return o.String(), problems, pauses, err
}

// watchedOn is watched with another output.
func watchedOn(t *testing.T, o io.Writer, format string, pages ...any) (problems string, pauses []time.Duration, err error) {
	t.Helper()
	var e bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	l := &lister{
		page: func(context.Context, string, int, string) (dedup.RequestPage, error) {
			p := pages[0]
			pages = pages[1:]
			if err, ok := p.(error); ok {
				return dedup.RequestPage{}, err
			}
			return dedup.RequestPage{Requests: p.([]dedup.Request), Now: noon}, nil
		},
		namespace: "onefire", out: output{format}, streams: Streams{Out: o, Err: &e},
		pause: func(_ context.Context, d time.Duration) error {
			if pauses = append(pauses, d); len(pages) == 0 {
				stop()
			}
			return nil
		},
	}
	err = l.watch(ctx)
	return e.String(), pauses, err
}

func burning(name string, count int32) dedup.Request {
	return dedup.Request{Name: name, Fingerprint: name, Alertname: "A", Count: count, State: dedup.StateBurning, Open: true, Created: noon, LastSeen: noon}
}

func TestAWatchWritesWhatChanged(t *testing.T) {
	one, again, none := []dedup.Request{burning("a", 1)}, []dedup.Request{burning("a", 2)}, []dedup.Request(nil)
	const head = "2026-01-17T12:00:00Z, namespace onefire: "
	const table = "FINGERPRINT  STATE    SEVERITY  ALERT  ALSO  TARGET  PHASE  COUNT  SEEN  AGE\n"
	row := func(count string) string {
		return "a            burning  -         A      -     -       -      " + count + "      0s    0s\n"
	}
	out, problems, pauses, err := watched(t, "text", none, one, one, again, none)
	require.NoError(t, err, "Ctrl-C is how it ends")
	require.Empty(t, problems)
	require.Equal(t, head+"0 requests\n\n"+head+"1 request\n"+table+row("1")+"\n"+head+"1 request\n"+table+row("2")+"\n"+head+"0 requests\n", out)
	require.Len(t, pauses, 5)
	for _, pause := range pauses {
		require.GreaterOrEqual(t, pause, watchEvery)
	}

	out, _, _, err = watched(t, "json", none, one, one, again)
	require.NoError(t, err)
	var counts []int32
	for d := json.NewDecoder(bytes.NewBufferString(out)); d.More(); {
		var rows []requestRow
		require.NoError(t, d.Decode(&rows))
		for _, r := range append(rows, requestRow{}) {
			counts = append(counts, r.Count)
		}
	}
	require.Equal(t, []int32{0, 1, 0, 2, 0}, counts, "an array for each change")
}

func TestAWatchGoesOnWhereAListingFails(t *testing.T) {
	one, down := []dedup.Request{burning("a", 1)}, errors.New("connection\x1brefused")
	out, problems, _, err := watched(t, "json", one, down, down, one, one)
	require.NoError(t, err)
	require.Equal(t, "onefire: listing RemediationRequests in namespace onefire: connection\ufffdrefused: trying again\n", problems, "said once")
	require.Equal(t, 2, bytes.Count([]byte(out), []byte(`"name": "a"`)), "it says when it is back")
	require.NotContains(t, out, "[]", "and nothing while it is not")

	out, problems, _, err = watched(t, "text", down)
	require.ErrorIs(t, err, down, "what never worked is not waited for")
	require.Empty(t, out+problems)
}

func TestAWatchEndsInTheMiddleOfAListing(t *testing.T) {
	var e bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	l := &lister{out: output{"text"}, streams: Streams{Err: &e}, pause: wait, page: func(ctx context.Context, _ string, _ int, _ string) (dedup.RequestPage, error) {
		stop()
		return dedup.RequestPage{}, ctx.Err()
	}}
	require.NoError(t, l.watch(ctx))
	require.Empty(t, e.String())
}

func TestAWatchDrawsOnATerminal(t *testing.T) {
	const clear = "\x1b[H\x1b[2J"
	drawn := func(lines int, all ...dedup.Request) string {
		var o bytes.Buffer
		l := &lister{namespace: "onefire", out: output{"text"}, streams: Streams{Out: &o}}
		require.NoError(t, l.draw(listing{all, noon.Add(time.Minute)}, lines, false))
		return o.String()
	}
	require.Regexp(t, `^\x1b\[H\x1b\[2J2026-01-17T12:01:00Z, namespace onefire: 1 request\nFINGERPRINT .*\na .* 60s +60s\n$`, drawn(40, burning("a", 1)))
	require.Equal(t, clear+"2026-01-17T12:01:00Z, namespace onefire: 0 requests\n", drawn(40))

	three := []dedup.Request{burning("a", 1), burning("b", 1), burning("c", 1)}
	require.Equal(t, 5, strings.Count(drawn(6, three...), "\n"), "all of them, and the cursor")
	require.Contains(t, drawn(6, three...), ": 3 requests\n")
	out, _, _, err := watched(t, "text", three)
	require.NoError(t, err)
	require.Equal(t, 5, strings.Count(out, "\n"), "what is no terminal has room for all")
	require.Contains(t, out, ": 3 requests\n")
	for _, lines := range []int{5, 4, 1} {
		text := drawn(lines, three...)
		fit := max(1, lines-3)
		require.Contains(t, text, fmt.Sprintf("3 requests, of which %d fit\n", fit))
		require.Equal(t, fit+2, strings.Count(text, "\n"), "the newest are not scrolled away")
	}
	require.Zero(t, height(&bytes.Buffer{}))
	file, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer file.Close()
	require.Zero(t, height(file), "a device, and no terminal")
}

// A large listing is a small part of what the API server does.
func TestAWatchOfALargeListingIsSlow(t *testing.T) {
	require.Equal(t, watchEvery, pauseAfter(time.Millisecond))
	require.Equal(t, 50*time.Second, pauseAfter(5*time.Second))
}
