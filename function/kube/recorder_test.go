package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var resource = schema.GroupResource{Group: "events.k8s.io", Resource: "events"}

// pass lets time go by within synctest.Test, where the clock is the test's own.
func pass(d time.Duration) {
	time.Sleep(d) // In a bubble of synctest this only moves its clock on; nothing waits.
}

// story is a Recorder with what it writes, to an API server that keeps names.
type story struct {
	*Recorder
	// fail is what the next writes come to.
	fail func(ctx context.Context) error

	mu    sync.Mutex
	calls int
	names map[string]bool
	tally map[EventResult]int
	log   strings.Builder
}

func newStory() *story {
	s := &story{names: map[string]bool{}, tally: map[EventResult]int{}, fail: func(context.Context) error { return nil }}
	s.Recorder = newRecorder(s.take, slog.New(slog.NewTextHandler(&s.log, nil)), func(r EventResult) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tally[r]++
	})
	return s
}

func (s *story) take(ctx context.Context, e Event) error {
	s.mu.Lock()
	s.calls++
	fail := s.fail
	s.mu.Unlock()
	if err := fail(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names[e.name()] {
		return fmt.Errorf("creating: %w", apierrors.NewAlreadyExists(resource, e.name()))
	}
	s.names[e.name()] = true
	return nil
}

// requireTally waits until all is written that can be.
func (s *story) requireTally(t *testing.T, written, known, leftOut int) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Equal(t, []int{written, known, leftOut}, []int{s.tally[Written], s.tally[Known], s.tally[LeftOut]}, "written, known, left out")
}

func (s *story) lines() int { return strings.Count(s.log.String(), "\n") }

func TestTheSameHappeningIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory()
		for range 3 {
			s.Record(made("rr-1"))
		}
		s.Record(made("rr-2"))
		s.requireTally(t, 2, 2, 0)
		require.Zero(t, s.lines())
	})
}

func TestAnIdleRecorderHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory()
		s.Record(made("rr-1"))
		s.requireTally(t, 1, 0, 0)
		require.False(t, s.busy)
		s.Record(made("rr-2"))
		s.requireTally(t, 2, 0, 0)
	}) // A goroutine that is left would make the bubble panic.
}

func TestAStormIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory()
		storms := 0
		storm := func(n int) {
			storms++
			for i := range n {
				s.Record(made(fmt.Sprintf("rr-%d-%d", storms, i)))
			}
		}
		storm(1000)
		s.requireTally(t, normalBurst, 0, 1000-normalBurst)
		require.Equal(t, 1, s.lines())
		warning := made("rr-w")
		warning.Type = Warning
		s.Record(warning)
		s.requireTally(t, normalBurst+1, 0, 1000-normalBurst)
		pass(2 * time.Second)
		storm(1000)
		s.requireTally(t, normalBurst+1+2*normalRate, 0, 2000-normalBurst-2*normalRate)
		require.Equal(t, 1, s.lines(), "the log says it once a minute")
		pass(complainEvery)
		storm(1000)
		synctest.Wait()
		require.Equal(t, 2, s.lines())
	})
}

func TestAnAPIThatFailsIsLeftAlone(t *testing.T) {
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "gone")
	missing.ErrStatus.Details.Kind = "namespaces"
	going := apierrors.NewForbidden(resource, "x", errors.New("it is being terminated"))
	going.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: "NamespaceTerminating"}}
	denied := apierrors.NewForbidden(resource, "x", errors.New("a ValidatingAdmissionPolicy denied request")).ErrStatus
	denied.Code, denied.Reason = http.StatusUnprocessableEntity, metav1.StatusReasonInvalid
	for reason, row := range map[string]struct {
		err error
		// calls of ten Events a second apart, and of one more an hour later.
		calls, later int
	}{
		"it is away":               {errors.New("connection refused"), 2, 1},
		"it has too much to do":    {apierrors.NewTooManyRequests("later", 1), 2, 1},
		"it is forbidden":          {apierrors.NewForbidden(resource, "x", errors.New("no")), 1, 1},
		"nobody knows us":          {apierrors.NewUnauthorized("who?"), 1, 1},
		"there is no such API":     {apierrors.NewGenericServerResponse(404, "POST", resource, "", "404 page not found", 0, true), 1, 0},
		"one namespace is missing": {missing, 10, 1},
		"one namespace is going":   {going, 10, 1},
		"one is invalid":           {apierrors.NewInvalid(schema.GroupKind{Kind: "Event"}, "x", field.ErrorList{field.Required(field.NewPath("action"), "")}), 10, 1},
		"a policy denies them":     {&apierrors.StatusError{ErrStatus: denied}, 2, 1},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStory()
				s.fail = func(context.Context) error { return fmt.Errorf("creating: %w", row.err) }
				for i := range 10 {
					s.Record(made(fmt.Sprintf("rr-%d", i)))
					synctest.Wait()
					pass(time.Second)
				}
				s.requireTally(t, 0, 0, 10)
				require.Equal(t, row.calls, s.calls)
				require.Equal(t, 1, s.lines(), s.log.String())
				pass(time.Hour)
				s.fail = func(context.Context) error { return nil }
				s.Record(made("rr-later"))
				s.requireTally(t, row.later, 0, 11-row.later)
			})
		})
	}
}

// Warnings have bounds of their own.
func TestAStormOfWarningsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory()
		storm := func(of string) {
			for i := range 100 {
				e := made(fmt.Sprintf("%s-%d", of, i))
				e.Type = Warning
				s.Record(e)
			}
		}
		storm("rr-first")
		s.requireTally(t, warningBurst, 0, 100-warningBurst)
		pass(2 * time.Second)
		storm("rr-second")
		s.requireTally(t, warningBurst+2*warningRate, 0, 200-warningBurst-2*warningRate)
	})
}

// How long nothing is written says the error.
func TestHowLongAPauseIs(t *testing.T) {
	for reason, row := range map[string]struct {
		err   error
		pause time.Duration
	}{
		"it is away":      {errors.New("connection refused"), failurePause},
		"it is forbidden": {apierrors.NewForbidden(resource, "x", errors.New("no")), eventRefusalPause},
		"nobody knows us": {apierrors.NewUnauthorized("who?"), eventRefusalPause},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStory()
				s.fail = func(context.Context) error { return row.err }
				s.Record(made("rr-1"))
				s.requireTally(t, 0, 0, 1)
				s.fail = func(context.Context) error { return nil }
				pass(row.pause - 1)
				s.Record(made("rr-2"))
				s.requireTally(t, 0, 0, 2)
				pass(1)
				s.Record(made("rr-3"))
				s.requireTally(t, 1, 0, 2)
			})
		})
	}
}

func TestWhatWaitsWhereThereIsNoSuchAPIIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory()
		s.fail = func(context.Context) error {
			return apierrors.NewGenericServerResponse(404, "POST", resource, "", "404 page not found", 0, true)
		}
		for i := range 30 {
			s.Record(made(fmt.Sprintf("rr-%d", i)))
		}
		s.requireTally(t, 0, 0, 30)
		require.Equal(t, 1, s.calls)
	})
}

func TestWhatWaitsWhenAWriteFailsIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory()
		s.fail = func(context.Context) error { return errors.New("down") }
		for i := range 30 {
			s.Record(made(fmt.Sprintf("rr-%d", i)))
		}
		s.requireTally(t, 0, 0, 30)
		require.Equal(t, 1, s.calls)
	})
}

func TestARecorderNeverBlocksAndItsQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory()
		release := make(chan struct{})
		s.fail = func(context.Context) error { <-release; return nil }
		begun := time.Now()
		for i := range 1000 {
			s.Record(made(fmt.Sprintf("rr-%d", i)))
			pass(time.Second / normalRate) // As many as its rate lets through.
		}
		require.Equal(t, 1000*time.Second/normalRate, time.Since(begun))
		require.Len(t, s.queue, maxQueue)
		close(release)
		s.requireTally(t, maxQueue+1, 0, 1000-maxQueue-1)
	})
}

func TestWhatWaitsIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory()
		s.fail = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		for range 3 {
			e := made("rr-1")
			e.Note = strings.Repeat("x", 1<<20)
			s.Record(e)
		}
		synctest.Wait()
		require.Len(t, s.queue, 2)
		require.Len(t, s.queue[0].Note, maxNote)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.Close(ctx)
	})
}

func TestCloseWritesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory()
		s.fail = func(context.Context) error { pass(10 * time.Millisecond); return nil }
		for i := range 30 {
			s.Record(made(fmt.Sprintf("rr-%d", i)))
		}
		s.Close(t.Context())
		require.False(t, s.busy)
		s.Record(made("rr-late"))
		s.requireTally(t, 30, 0, 1)
		s.Close(t.Context())
	})
}

func TestCloseKeepsToItsDeadline(t *testing.T) {
	for reason, row := range map[string]struct{ given, want time.Duration }{
		"its own":   {time.Hour, FlushTimeout},
		"a shorter": {time.Second, time.Second},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStory()
				s.fail = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
				for i := range 30 {
					s.Record(made(fmt.Sprintf("rr-%d", i)))
				}
				ctx, cancel := context.WithTimeout(t.Context(), row.given)
				defer cancel()
				begun := time.Now()
				s.Close(ctx)
				require.Equal(t, row.want, time.Since(begun))
				s.requireTally(t, 0, 0, 30)
			})
		})
	}
}

func TestNoRecorderRecordsNothing(t *testing.T) {
	var none *Recorder
	none.Record(made("rr-1"))
	none.Close(t.Context())
}
