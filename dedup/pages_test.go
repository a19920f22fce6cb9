package dedup

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// server is an API server with many ended objects of each fingerprint, and one that is
// active, which streams them. It answers a List of one fingerprint alone.
type server struct {
	// objects is how many ended ones there are, payload how large each is.
	objects, payload int
	// noPhases makes it a CRD whose phase is not selectable.
	noPhases bool
	// expire ends that many readings at their second page.
	expire atomic.Int64
	// asked are the limits that were asked for, pages those after the first.
	mu    sync.Mutex
	asked []string
	url   string
	text  []byte
}

func newServer(t *testing.T, objects, payload int) *server {
	t.Helper()
	s := &server{objects: objects, payload: payload, text: []byte(strings.Repeat(`\"a`, payload/3))}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

func (s *server) connect(t *testing.T) *kube {
	t.Helper()
	k, err := connect(&rest.Config{Host: s.url})
	require.NoError(t, err)
	return k
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	s.asked = append(s.asked, q.Get("limit"))
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if s.noPhases && strings.Contains(q.Get("fieldSelector"), "status.overallPhase") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","code":400}`)
		return
	}
	first, limit := 0, s.objects+1
	if text := q.Get("limit"); text != "" {
		limit, _ = strconv.Atoi(text)
	}
	if text := q.Get("continue"); text != "" {
		first, _ = strconv.Atoi(text)
		if s.expire.Add(-1) >= 0 {
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}`)
			return
		}
	}
	_, fingerprint, _ := strings.Cut(q.Get("fieldSelector"), "=")
	_, _ = io.WriteString(w, `{"apiVersion":"kubernaut.ai/v1alpha1","items":[`)
	last := min(first+limit, s.objects+1)
	for i := first; i < last; i++ {
		phase := completed
		if i == s.objects/2 {
			phase = "Executing"
		}
		_, err := fmt.Fprintf(w, `{"metadata":{"name":"rr-%05d","uid":"u%d","resourceVersion":"1","creationTimestamp":%q,"labels":{%q:%q},"annotations":{%q:"key%d"}},
			"spec":{"signalFingerprint":%q,"signalLabels":{"alertname":"A"},"originalPayload":"`,
			i, i, formatTime(epoch.Add(time.Duration(i)*time.Minute)), managedByLabel, managedBy, eventAnnotation, i, fingerprint)
		if err != nil {
			return
		}
		_, _ = w.Write(s.text)
		_, _ = fmt.Fprintf(w, `"},"status":{"overallPhase":%q,"deduplication":{"occurrenceCount":1}}}`, phase)
		if i < last-1 {
			_, _ = io.WriteString(w, ",")
		}
	}
	next := ""
	if last <= s.objects {
		next = strconv.Itoa(last)
	}
	_, _ = fmt.Fprintf(w, `],"kind":"RemediationRequestList","metadata":{"continue":%q,"resourceVersion":"1"}}`, next)
}

// check asks for a fingerprint's objects and one key that only an old one has.
func (s *server) check(ctx context.Context, k *kube, fingerprint string) error {
	objects, _, err := k.list(ctx, "ns", selector{fingerprint: fingerprint, keys: []string{"key3"}})
	if err != nil {
		return err
	}
	active, ended := split(objects)
	if _, _, ok := recorded(ended, "key3"); !ok || len(active) != 1 {
		return fmt.Errorf("of %d objects %d are active, and the key is known: %t", len(objects), len(active), ok)
	}
	return nil
}

// 561 objects of 60 KB were more than a List could be.
func TestAPastThatIsLargerThanAnAnswerIsReadInPages(t *testing.T) {
	s := newServer(t, 1100, 60_000)
	k := s.connect(t)
	var told []LongPast
	k.onLongPast = func(p LongPast) { told = append(told, p) }
	require.NoError(t, s.check(t.Context(), k, digest("a")))
	require.Equal(t, []string{"", "500", "500", "500"}, s.asked)
	require.Equal(t, []LongPast{{"ns", digest("a"), 1101, true}}, told)

	s.asked = nil
	require.NoError(t, s.check(t.Context(), k, digest("a")))
	require.Equal(t, []string{"500", "500", "500"}, s.asked, "it is known to be long")

	s.objects, s.asked = 20, nil
	require.NoError(t, s.check(t.Context(), k, digest("a")))
	require.NoError(t, s.check(t.Context(), k, digest("a")))
	require.Equal(t, []string{"500", ""}, s.asked, "somebody has deleted most")
	require.Len(t, told, 2)
}

func TestPagesThatAreForgottenAreReadAgain(t *testing.T) {
	s := newServer(t, 1100, 60_000)
	k := s.connect(t)
	s.expire.Store(maxPagings - 1)
	var told []LongPast
	k.onLongPast = func(p LongPast) { told = append(told, p) }
	require.NoError(t, s.check(t.Context(), k, digest("a")))
	require.Equal(t, 1101, told[0].Objects, "no object is counted twice")
	s.expire.Store(maxPagings)
	require.True(t, apierrors.IsResourceExpired(s.check(t.Context(), k, digest("a"))))
}

func TestALongPastOfOneAnswerIsTold(t *testing.T) {
	s := newServer(t, maxPast, 10)
	k := s.connect(t)
	var told []LongPast
	k.onLongPast = func(p LongPast) { told = append(told, p) }
	require.NoError(t, s.check(t.Context(), k, digest("a")))
	require.Equal(t, []LongPast{{"ns", digest("a"), maxPast + 1, false}}, told)
	s.objects--
	require.NoError(t, s.check(t.Context(), k, digest("a")))
	require.Len(t, told, 1)
}

// direct gives clients the answers of a server without a connection between them: the
// memory of connections, and of an HTTP server, is not the client's.
type direct struct{ *server }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	from, to := io.Pipe()
	go func() {
		d.ServeHTTP(piped{to}, r)
		_ = to.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: from, Request: r}, nil
}

// piped is a response that nothing holds back.
type piped struct{ *io.PipeWriter }

func (piped) Header() http.Header { return http.Header{} }
func (piped) WriteHeader(int)     {}

// measured gives answers as direct does, and measures before some of them, whatever the
// time is. Meanwhile each List goes on until its next answer.
type measured struct {
	direct
	mu      sync.Mutex
	asked   int
	measure func()
}

// measuredEvery is before which answers it measures.
const measuredEvery = 20

func (m *measured) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	if m.asked++; m.asked%measuredEvery == 0 {
		m.measure()
	}
	m.mu.Unlock()
	return m.direct.RoundTrip(r)
}

// 64 fingerprints with a long past are asked for at once. The memory for all of them
// does not depend on how long the pasts are.
func TestMemoryIsBoundedWhateverThePastIs(t *testing.T) {
	s := newServer(t, 1000, 4_000)
	pages := &measured{direct: direct{s}}
	k, err := connect(&rest.Config{Host: s.url, Transport: pages})
	require.NoError(t, err)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	measure := func() int64 {
		runtime.GC()
		metrics.Read(live)
		return int64(live[0].Value.Uint64())
	}
	// The next collections free what earlier tests left in pools and to finalizers.
	before := measure()
	for range 3 {
		before = min(before, measure())
	}
	// The collector counts memory that is allocated while it runs as live, whether
	// anything holds it or not. So it is the lesser of two measurements that counts.
	var most int64
	pages.measure = func() { most = max(most, min(measure(), measure())-before) }
	var all sync.WaitGroup
	errs := make([]error, maxCalls)
	for i := range errs {
		k.long.Add(subject{"ns", digest(fmt.Sprint(i))}, struct{}{})
		all.Go(func() { errs[i] = s.check(t.Context(), k, digest(fmt.Sprint(i))) })
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	t.Logf("at most %d KiB more than before in %d measurements, of %d MiB read", most>>10, pages.asked/measuredEvery, maxCalls*s.objects*s.payload>>20)
	require.Greater(t, pages.asked/measuredEvery, 2)
	require.Positive(t, most)
	require.Less(t, most, int64(maxListMemory))
	require.True(t, k.budget.free.TryAcquire(maxListMemory), "all memory was given back")
}

func TestListsWaitForMemory(t *testing.T) {
	s := newServer(t, 3, 10)
	k := s.connect(t)
	require.True(t, k.budget.free.TryAcquire(maxListMemory))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.check(ctx, k, digest("a")), context.DeadlineExceeded)
	_, _, err := k.list(t.Context(), "ns", selector{fingerprint: digest("a"), urgent: true})
	require.NoError(t, err, "a probe does not wait")
	k.budget.free.Release(maxListMemory)
	require.NoError(t, s.check(t.Context(), k, digest("a")))
}

// A CRD that lets nobody select by phase answers 400, and is not asked again.
func TestWhereThePhaseCannotBeSelectedAllIsRead(t *testing.T) {
	s := newServer(t, 3, 10)
	s.noPhases = true
	k := s.connect(t)
	for range 2 {
		objects, _, err := k.list(t.Context(), "ns", selector{fingerprint: digest("a"), active: true})
		require.NoError(t, err)
		require.Len(t, objects, 4)
	}
	require.Len(t, s.asked, 3)
}
