package audit

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOneEventAloneIsACloudEventAndSeveralAreABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		var headers []http.Header
		d.before = func(r *http.Request, _ int) *http.Response {
			headers = append(headers, r.Header)
			return nil
		}
		s, events := d.process(), entries(3)
		requireAll(t, s.Deliver(t.Context(), events[:1]))
		requireAll(t, s.Deliver(t.Context(), events[1:]))
		require.Equal(t, []string{"POST", "POST batch of 2"}, d.seen())
		require.Equal(t, events[0].id().String(), headers[0].Get("Ce-Id"))
		require.Equal(t, events[0].Traceparent, headers[0].Get("Traceparent"))
		require.Equal(t, "application/json", headers[1].Get("Content-Type"))
		require.Empty(t, headers[1].Get("Ce-Id"))
	})
}

func TestARefusedEventDoesNotHarmItsBatch(t *testing.T) {
	for reason, row := range map[string]struct {
		bad      []int
		requests int
	}{
		"one of 200":    {[]int{77}, 1 + splitBatch + 13},
		"the first":     {[]int{0}, 1 + splitBatch + 13},
		"both ends":     {[]int{0, 199}, 1 + splitBatch + 13 + 5},
		"all of them":   {nil, 1 + splitBatch + 200},
		"two neighbors": {[]int{100, 101}, 1 + splitBatch + 13},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				events := entries(200)
				bad := map[int]bool{}
				for _, i := range row.bad {
					bad[i] = true
				}
				var good []Event
				for i := range events {
					if row.bad == nil {
						bad[i] = true
					}
					if bad[i] {
						events[i] = filled(events[i], true, "")
					} else {
						good = append(good, events[i])
					}
				}
				for i, err := range d.process().Deliver(t.Context(), events) {
					if !bad[i] {
						require.NoError(t, err)
						continue
					}
					var refused *RefusedError
					require.ErrorAs(t, err, &refused)
					require.Equal(t, 400, refused.Status)
					require.Contains(t, string(refused.Event), events[i].id().String())
				}
				require.LessOrEqual(t, len(d.seen()), row.requests)
				d.requireOnce(good)
			})
		})
	}
}

// A batch that is refused goes in so many parts, and not in more than it needs.
func TestInHowManyPartsARefusedBatchGoes(t *testing.T) {
	for events, parts := range map[int]int{2: 2, splitBatch: splitBatch, splitBatch + 1: 9, 2 * splitBatch: splitBatch, 2*splitBatch + 1: 11, 200: 16} {
		t.Run(strconv.Itoa(events), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				d.before = func(*http.Request, int) *http.Response {
					if len(d.posts()) == 1 {
						return responded(400, "no")
					}
					return nil
				}
				all := entries(events)
				requireAll(t, d.process().Deliver(t.Context(), all))
				require.Len(t, d.posts(), 1+parts)
				d.requireOnce(all)
			})
		})
	}
}

func TestAStoreWithoutBatchesGetsEventsOneByOne(t *testing.T) {
	for _, code := range []int{http.StatusNotFound, http.StatusMethodNotAllowed} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				d.before = func(r *http.Request, _ int) *http.Response {
					if strings.HasSuffix(r.URL.Path, "/batch") {
						return responded(code, "")
					}
					return nil
				}
				s, events := d.process(), entries(50)
				requireAll(t, s.Deliver(t.Context(), events[:20]))
				require.Len(t, d.seen(), 21)
				requireAll(t, s.Deliver(t.Context(), events[20:40]))
				require.Len(t, d.seen(), 41, "it is remembered")
				d.before = nil
				pass(unbatchedFor)
				requireAll(t, s.Deliver(t.Context(), events[40:]))
				require.Len(t, d.seen(), 42, "not for ever")
				require.LessOrEqual(t, d.most, maxPosts)
				d.requireOnce(events)
			})
		})
	}
}

func TestEventsOfOneRemediationRequestKeepTheirOrderOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		d.before = func(r *http.Request, _ int) *http.Response {
			if strings.HasSuffix(r.URL.Path, "/batch") {
				return responded(404, "")
			}
			return nil
		}
		events := entries(20)
		for i := range events {
			events[i].Subject = "rr"
			events[i] = filled(events[i], false, "")
		}
		requireAll(t, d.process().Deliver(t.Context(), events))
		require.True(t, slices.IsSortedFunc(d.rows, func(a, b stored) int { return a.Time.Compare(b.Time) }))
		require.Equal(t, 1, d.most)
		d.requireOnce(events)
	})
}

func TestBatchesKeepToTheirSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		d.before = func(r *http.Request, events int) *http.Response {
			require.LessOrEqual(t, r.ContentLength, int64(maxBatchBytes))
			require.LessOrEqual(t, events, maxBatch)
			return nil
		}
		events := entries(30)
		for i := range events {
			events[i] = filled(events[i], false, strings.Repeat("x", 300<<10))
		}
		requireAll(t, d.process().Deliver(t.Context(), events))
		require.Len(t, d.seen(), 3)
		d.requireOnce(events)
	})
}

// sized gives an event a body of so many bytes; with 0 the least that goes with it.
func sized(e Event, bytes int) Event {
	if bytes == 0 {
		return filled(e, false, "")
	}
	least := len(must(json.Marshal(filled(e, false, "x").Data)))
	return filled(e, false, strings.Repeat("x", bytes-least+1))
}

func TestWhatWaitsIsBounded(t *testing.T) {
	for reason, row := range map[string]struct{ events, bytes, accepted int }{
		"by count": {maxPending + 500, 0, maxPending},
		"by size":  {50, 1 << 20, maxPendingBytes / (1 << 20)},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t, locked: time.Now().Add(20 * time.Second)}
				s, events := d.process(), entries(row.events)
				for i := range events {
					events[i] = sized(events[i], row.bytes)
				}
				done := make(chan []error)
				begun := time.Now()
				go func() { done <- s.Deliver(t.Context(), events) }()
				synctest.Wait()
				require.Len(t, s.items, row.accepted)
				require.LessOrEqual(t, s.size, maxPendingBytes)
				require.ErrorIs(t, one(t.Context(), s, sized(another(), row.bytes)), errFull)
				require.Zero(t, time.Since(begun), "at once")
				for i, err := range <-done {
					if i < row.accepted {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, errFull)
					}
				}
				require.Zero(t, s.size)
				require.Empty(t, s.items)
				events = again(events) // Not all of so many are remembered.
				for range 2 {
					s.Deliver(t.Context(), events) // Each time as many as there is room for.
				}
				requireAll(t, s.Deliver(t.Context(), events))
				d.requireOnce(events)
			})
		})
	}
}

// Callers that come and go leave nothing in the queue while nothing is sent.
func TestWhatNobodyWaitsForIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t, took: 29 * time.Second}
		s := d.process()
		busy := make(chan []error)
		for i := range maxPosts {
			go func() { busy <- s.Deliver(t.Context(), entries(2 * (i + 1))[2*i:]) }()
		}
		synctest.Wait()
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			events := make([]Event, 200)
			for i := range events {
				events[i] = another()
			}
			for _, err := range s.Deliver(ctx, events) {
				require.Equal(t, unavailable, verdictOf(err))
			}
			cancel()
			s.mu.Lock()
			require.Len(t, s.items, 2*maxPosts)
			require.LessOrEqual(t, len(s.pending), len(s.items)+maxFinished+len(events))
			for _, it := range s.pending {
				require.Empty(t, it.event.Data())
			}
			s.mu.Unlock()
		}
		most := 0
		for range 2 * maxFinished {
			ctx, cancel := context.WithCancel(t.Context())
			wait := s.Send(ctx, []Event{another()})
			cancel()
			require.Error(t, wait()[0])
			s.mu.Lock()
			most = max(most, len(s.pending)-len(s.items))
			s.mu.Unlock()
		}
		require.Equal(t, maxFinished+1, most)
		for range maxPosts {
			requireAll(t, <-busy)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		require.Empty(t, s.pending)
		require.Len(t, d.posts(), maxPosts)
	})
}

// A sink that is not available is not tried for what waits.
func TestASinkThatIsDownIsGivenUpForAllThatWait(t *testing.T) {
	for reason, row := range map[string]struct {
		answer   answer
		requests int
	}{
		"503":                 {status(503), 4 * maxPosts},
		"403":                 {status(403), maxPosts},
		"a lost connection":   {nil, 4 * maxPosts},
		"429 and a long wait": {status(429, "Retry-After", "600"), maxPosts},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				requests := 0
				s := (&store{t: t}).process()
				s.client.http.Transport = transport(func(*http.Request) (*http.Response, error) {
					mu.Lock()
					defer mu.Unlock()
					requests++
					if row.answer == nil {
						return nil, io.ErrUnexpectedEOF
					}
					w := httptest.NewRecorder()
					row.answer(w, nil)
					return w.Result(), nil
				})
				begun := time.Now()
				for _, err := range s.Deliver(t.Context(), entries(4000)) {
					require.Equal(t, unavailable, verdictOf(err))
				}
				require.LessOrEqual(t, requests, row.requests)
				require.Less(t, time.Since(begun), 25*time.Second)
				require.Empty(t, s.items)
			})
		})
	}
}
