package dedup

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// An answer that is cut off at its limit is reported as too large, wherever the cut is:
// only such an answer is read in pages.
func TestAnAnswerThatIsTooLargeSaysSoWhereverItIsCut(t *testing.T) {
	text := `{"kind":"RemediationRequestList","metadata":{"continue":"c"},"items":[{"metadata":{"name":"a"},"spec":{"signalName":"A"}},{"metadata":{"name":"b"}}]}`
	for n := range len(text) {
		_, err := readList(&boundedReader{strings.NewReader(text), int64(n)}, enough, func(object) error { return nil })
		require.ErrorIs(t, err, errTooLarge, text[:n])
	}
}

// The first page asks for no continuation.
func TestTheFirstPageContinuesNothing(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"List","items":[]}`))
	}))
	defer server.Close()
	k, err := connect(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	reserved, err := k.budget.reserve(t.Context(), listMemory)
	require.NoError(t, err)
	defer reserved.release()
	_, _, err = k.pages(t.Context(), subject{"ns", "f"}, selector{fingerprint: "f"}, reserved)
	require.NoError(t, err)
	require.Len(t, asked, 1)
	require.Contains(t, asked[0], "limit=500")
	require.NotContains(t, asked[0], "continue")
	require.Contains(t, asked[0], "timeout=10s", "the API server gives up when we do")
}

func TestDifferencesAreCutAtTheirBounds(t *testing.T) {
	differ := differences(nil, map[string]string{strings.Repeat("n", 100): strings.Repeat("v", 200)})
	require.Equal(t, map[string]string{strings.Repeat("n", maxDifferingName-3) + "…": strings.Repeat("v", maxDifferingValue-3) + "…"}, differ)
	require.Nil(t, differences(map[string]string{"a": ""}, nil), "an empty label is none")
	require.Equal(t, map[string]string{"a": ""}, differences(map[string]string{"a": "b"}, nil))
}

func TestARecordOfAnEarlierVersionHasNoEmptyCounts(t *testing.T) {
	o := read(t, `{"status":{"deduplication":{"events":{"a":0,"b":1,"c":-1}}}}`)
	require.Len(t, o.events, 1)
	require.Contains(t, o.events, "b")
}

func TestTheClusterOfASignalIsOnItsObject(t *testing.T) {
	spec := func(cluster string) map[string]any {
		s := signal
		s.Cluster = cluster
		return newRequest("rr", "", s, "alert", "k", epoch)["spec"].(map[string]any)
	}
	require.Equal(t, "east", spec("east")["clusterID"])
	require.NotContains(t, spec(""), "clusterID")
}

// A caller that gives up leaves only its own place in the queue. If it gets a slot at the
// same moment, it passes the slot on.
func TestACallerThatGivesUpLeavesOnlyItsOwnSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimiter(1)
		release, err := w.acquire(t.Context())
		require.NoError(t, err)
		entered := make(chan func(), 1)
		go func() {
			release, err := w.acquire(t.Context())
			require.NoError(t, err)
			entered <- release
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { _, err := w.acquire(ctx); gone <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		release()
		synctest.Wait()
		(<-entered)()
		require.Zero(t, w.inUse)
		require.Empty(t, w.waiting)
	})
}

func TestATurnThatComesTooLateIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 { // It is chance which of the two is seen first.
			w := newLimiter(1)
			release, err := w.acquire(t.Context())
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if release, err := w.acquire(ctx); err == nil {
					release()
				}
			}()
			synctest.Wait()
			w.mu.Lock() // Until both have happened.
			cancel()
			w.releaseLocked()
			w.mu.Unlock()
			synctest.Wait()
			require.Zero(t, w.inUse)
			_ = release // Its slot was released above.
		}
	})
}

// Foreign objects that follow each other in a circle still have a last one.
func TestAPastThatFollowsItselfHasAnEnd(t *testing.T) {
	a, b := object{uid: "a", name: "a", follows: "b", phase: completed}, object{uid: "b", name: "b", follows: "a", phase: completed}
	require.Contains(t, []object{a, b}, last([]object{a, b}))
}

func TestWhatIsBelievedOfNamespacesIsBounded(t *testing.T) {
	g := newListBatcher(newStore())
	for i := range maxNamespaces {
		g.setUntil(g.tooMany, fmt.Sprint(i), time.Now().Add(time.Hour))
	}
	require.Len(t, g.tooMany, maxNamespaces)
	g.setUntil(g.tooMany, "one more", time.Now().Add(time.Hour))
	require.Len(t, g.tooMany, 1, "it is learned again")
	require.True(t, g.holds(g.tooMany, "one more"))
	require.False(t, g.holds(g.tooMany, "0"))
}
