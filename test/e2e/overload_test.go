package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// The process gets all of this at once, each request over a connection of its own.
const (
	idleConnections = 1000
	slowBodies      = 200
	largeBodies     = 100
	heavyBodies     = 600 // More than the function admits, in number and in size.
	heavyInsisting  = 16  // Of them; they are sent again until they are settled.
	brokenBodies    = 10  // Of each kind.
)

const (
	// settleWithin bounds the wait until a sender gets what it wants; on an idle
	// machine it takes seconds.
	settleWithin = 2 * time.Minute
	// largeSize is beyond what a body may have, heavySize just below it.
	largeSize = 3 << 20
	heavySize = 2<<20 - 8<<10
	// slowPace is how often a slow sender sends a byte.
	slowPace = 500 * time.Millisecond
	// neighbourPace is how often a neighbour has an event, neighbourPods how
	// many fingerprints they have.
	neighbourPace = 50 * time.Millisecond
	neighbourPods = 20
	// resendAfter is about how long a Broker waits before it sends again; it
	// doubles each time, up to resendAtMost.
	resendAfter  = 200 * time.Millisecond
	resendAtMost = 2 * time.Second
	// maxMemory is the memory that the function has, in bytes.
	maxMemory = 256 << 20
)

// TestOverloadIsAnsweredAndHurtsNoNeighbour sends bad input and too much of the
// good, and asks for a clear answer to each request within 30 s, for bounded
// memory, and that the good events beside it are settled and counted once. The
// process is built as it is deployed: the race detector takes memory of its own.
func TestOverloadIsAnsweredAndHurtsNoNeighbour(t *testing.T) {
	w := newWorld(t, mapping.Schema202608)
	f := w.serve(w.prepare(stripped(t), "LOG_LEVEL=error"))
	b := &burst{t: t, address: strings.TrimPrefix(f.url, "http://"), answers: map[string]map[int]int{}}
	heavy, broken := heavyEvents(), brokenRequests(t)
	begun := time.Now()
	for i := range idleConnections {
		defer b.idle(i).Close()
	}
	over := make(chan struct{})
	sent := make(chan map[int]int64)
	go func() { sent <- b.neighbours(over) }()
	b.attack(heavy, broken)
	close(over)
	events := <-sent
	b.log(time.Since(begun))

	require.Equal(t, http.StatusOK, status(t, f.url+"/health/liveness"))
	require.Equal(t, http.StatusOK, w.post(f, "afterwards", webhook(firing("Afterwards", "api-0"))))
	requireBoundedMemory(t, f.process.Process.Pid)

	made, duplicates := 1, 0
	for _, row := range broken {
		if row.status == http.StatusOK {
			made++
		}
	}
	require.Len(t, events, neighbourPods)
	objects := w.list()
	require.Len(t, objects, made+neighbourPods)
	for _, o := range objects {
		want := int64(1)
		if field(&o, "spec", "signalName") == "Neighbour" {
			pod, err := strconv.Atoi(strings.TrimPrefix(field(&o, "spec", "targetResource", "name"), "api-"))
			require.NoError(t, err)
			want = events[pod]
		}
		require.Equal(t, want, count(&o), o.GetName())
		duplicates += int(want) - 1
	}
	require.Len(t, w.audit(mapping.SignalReceived), len(objects))
	require.Len(t, w.audit(mapping.SignalDeduplicated), duplicates)
	w.requireUniqueAudit()
	requireEachCountOnce(t, w)
	// The idle connections are still there, and do not keep it from stopping.
	w.stop(f)
}

// requireBoundedMemory asks the system for the most memory that a process ever
// had.
func requireBoundedMemory(t *testing.T, pid int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, peak, _ := strings.Cut(string(text), "VmHWM:")
	var kilobytes int
	_, err = fmt.Sscan(peak, &kilobytes)
	require.NoError(t, err)
	t.Logf("peak memory: %d MiB", kilobytes>>10)
	require.Less(t, kilobytes<<10, maxMemory)
}

// burst sends requests and keeps count of the answers.
type burst struct {
	t       *testing.T
	address string

	mu sync.Mutex
	// answers are how often each status was the answer, by kind of request.
	answers map[string]map[int]int
	// settled is how long each neighbour's event took to its 200.
	settled []time.Duration
}

// attack sends everything but the good events at once, and returns when all of
// it is answered.
func (b *burst) attack(heavy [][]byte, broken map[string]brokenRequest) {
	spaces := strings.Repeat(" ", largeSize)
	large, largeChunked := posted(spaces, ceID("large")), chunked(spaces, ceID("large"))
	var senders sync.WaitGroup
	defer senders.Wait()
	for i := range slowBodies {
		senders.Go(func() { b.slow(i) })
	}
	for range largeBodies / 2 {
		senders.Go(func() { b.deliver("3 MiB", large, http.StatusRequestEntityTooLarge) })
		senders.Go(func() { b.deliver("3 MiB, chunked", largeChunked, http.StatusRequestEntityTooLarge) })
	}
	for i := range heavyBodies {
		request := heavy[i%len(heavy)]
		if i < heavyInsisting {
			senders.Go(func() { b.deliver("2 MiB, until it is settled", request, http.StatusOK) })
		} else {
			senders.Go(func() { b.expect("2 MiB", bytes.NewReader(request), http.StatusOK, http.StatusServiceUnavailable) })
		}
	}
	for name, row := range broken {
		for range brokenBodies {
			senders.Go(func() { b.deliver(name, row.request, row.status) })
		}
	}
}

// neighbours sends good events until it is over, and returns how many for each
// fingerprint when all of them are settled.
func (b *burst) neighbours(over chan struct{}) map[int]int64 {
	tick := time.NewTicker(neighbourPace)
	defer tick.Stop()
	var senders sync.WaitGroup
	defer senders.Wait()
	sent := map[int]int64{}
	for i := 0; ; i++ {
		select {
		case <-over:
			return sent
		case <-tick.C:
		}
		sent[i%neighbourPods]++
		body := webhook(firing("Neighbour", fmt.Sprintf("api-%d", i%neighbourPods)))
		senders.Go(func() { b.neighbour(fmt.Sprintf("neighbour-%d", i), body) })
	}
}

// idle opens a connection on which no request is ever complete.
func (b *burst) idle(i int) net.Conn {
	c, err := net.Dial("tcp", b.address)
	require.NoError(b.t, err)
	if i%2 == 0 {
		_, err = io.WriteString(c, "POST / HTTP/1.1\r\nHost: onefire\r\nCe-Id: ")
		require.NoError(b.t, err)
	}
	return c
}

// slow sends a body byte by byte: of known length, chunked, or to where no body
// belongs.
func (b *burst) slow(i int) {
	const length, chunks = "Content-Length: 1000", "Transfer-Encoding: chunked"
	switch i % 3 {
	case 0:
		b.expect("slow body", &trickle{head(http.MethodPost, ceID("slow"), length), "x"}, http.StatusServiceUnavailable)
	case 1:
		b.expect("slow body, chunked", &trickle{head(http.MethodPost, ceID("slow"), chunks), "1\r\nx\r\n"}, http.StatusServiceUnavailable)
	case 2:
		b.expect("slow body of a GET", &trickle{head(http.MethodGet, length), "x"}, http.StatusMethodNotAllowed, http.StatusServiceUnavailable)
	}
}

func (b *burst) neighbour(id, body string) {
	begun := time.Now()
	if b.deliver("neighbour", posted(body, ceID(id)), http.StatusOK) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.settled = append(b.settled, time.Since(begun))
	}
}

// deliver sends a request as a Broker does, again while the answer is 503, and
// tells whether the answer was the right one in the end.
func (b *burst) deliver(kind string, request []byte, want int) bool {
	pause := resendAfter
	for begun := time.Now(); time.Since(begun) < settleWithin; pause = min(2*pause, resendAtMost) {
		switch b.expect(kind, bytes.NewReader(request), want, http.StatusServiceUnavailable) {
		case want:
			return true
		case http.StatusServiceUnavailable:
		default:
			return false
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-b.t.Context().Done():
			return false
		}
	}
	b.t.Errorf("%s: still 503 after %s", kind, settleWithin)
	return false
}

// expect sends a request once, asks for an answer that is clear and one of
// those, and returns its status, or zero if there was none.
func (b *burst) expect(kind string, request io.Reader, want ...int) int {
	got, header, text, err := exchange(b.address, request)
	if err != nil {
		b.t.Errorf("%s: %v", kind, err)
		return 0
	}
	if !slices.Contains(want, got) {
		b.t.Errorf("%s: %d %q where %v was expected", kind, got, text, want)
	}
	if (got == http.StatusOK) != (text == "") {
		b.t.Errorf("%s: the text of a %d is %q", kind, got, text)
	}
	if (got == http.StatusServiceUnavailable) != (header.Get("Retry-After") != "") {
		b.t.Errorf("%s: a %d with Retry-After %q", kind, got, header.Get("Retry-After"))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answers[kind] == nil {
		b.answers[kind] = map[int]int{}
	}
	b.answers[kind][got]++
	return got
}

// exchange sends a request over a connection of its own and reads the answer
// meanwhile: some are answered before all of the request is sent.
func exchange(address string, request io.Reader) (status int, header http.Header, text string, err error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return 0, nil, "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, "", err
	}
	// The client does not send what the function does not read, as from afar.
	if err := c.(*net.TCPConn).SetWriteBuffer(64 << 10); err != nil {
		return 0, nil, "", err
	}
	go func() {
		// The server may have enough before the end; the answer says so.
		_, _ = io.Copy(c, request)
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, nil, "", fmt.Errorf("reading the answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, "", fmt.Errorf("reading the answer's text: %w", err)
	}
	return resp.StatusCode, resp.Header, string(body), nil
}

func (b *burst) log(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Logf("burst of %s; answers by status:", took.Round(time.Millisecond))
	for _, kind := range slices.Sorted(maps.Keys(b.answers)) {
		b.t.Logf("  %-40s %v", kind, b.answers[kind])
	}
	require.NotEmpty(b.t, b.settled)
	slices.Sort(b.settled)
	at := func(percent int) time.Duration {
		return b.settled[(len(b.settled)-1)*percent/100].Round(time.Millisecond)
	}
	b.t.Logf("%d neighbours settled, p50 %s, p99 %s, max %s", len(b.settled), at(50), at(99), at(100))
}
