package dedup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// ended is an object of ours that ended, made some seconds after the epoch.
func ended(name string, second int) object {
	return object{
		name: name, uid: types.UID(name), resourceVersion: "1", ours: true, phase: completed,
		createdAt: epoch.Add(time.Duration(second) * time.Second),
	}
}

func changedBy(o object, change func(*object)) object {
	change(&o)
	return o
}

func TestWhatIsBeyondTheLimitOfTheHistory(t *testing.T) {
	now := epoch.Add(time.Hour)
	five := []object{ended("d", 4), ended("a", 1), ended("c", 3), ended("e", 5), ended("b", 2)}
	others := func(change func(*object)) []object {
		return append([]object{changedBy(ended("0", 0), change)}, five...)
	}
	for name, row := range map[string]struct {
		past  []object
		limit int
		goes  []string
	}{
		"no limit":                {five, 0, nil},
		"fewer than the limit":    {five, 6, nil},
		"as many as the limit":    {five, 5, nil},
		"the oldest go first":     {five, 3, []string{"a", "b"}},
		"the last stays":          {five, 1, []string{"a", "b", "c", "d"}},
		"an active one":           {others(func(o *object) { o.phase = "" }), 4, []string{"a"}},
		"one of others":           {others(func(o *object) { o.ours = false }), 4, []string{"a"}},
		"one that is going":       {others(func(o *object) { o.deleting = true }), 4, []string{"a"}},
		"one that asks for one":   {others(func(o *object) { o.manualReview = true }), 4, []string{"a", "b"}},
		"one that backs off":      {others(func(o *object) { o.nextAllowed = now.Add(time.Second) }), 4, []string{"a", "b"}},
		"one that backed off":     {others(func(o *object) { o.nextAllowed = now }), 4, []string{"0", "a"}},
		"one that was made late":  {append(slices.Clone(five), ended("0", 3600-int(redelivered/time.Second))), 4, []string{"a", "b"}},
		"one that counted late":   {others(func(o *object) { o.lastSeen = now.Add(-redelivered) }), 4, []string{"a", "b"}},
		"one that counted before": {others(func(o *object) { o.lastSeen = now.Add(-redelivered - time.Second) }), 4, []string{"0", "a"}},
		"of one second all stay":  {[]object{ended("a", 1), ended("b", 1), ended("c", 1), ended("0", 0)}, 1, []string{"0"}},
		"the last is not the newest by name": {[]object{
			changedBy(ended("z", 1), func(o *object) { o.follows = "0" }), ended("0", 0), changedBy(ended("a", 1), func(o *object) { o.follows = "z" }),
		}, 2, []string{"0"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(row.past)
			var goes []string
			for _, o := range surplus(row.past, row.limit, now) {
				goes = append(goes, o.name)
			}
			require.Equal(t, row.goes, goes)
			require.Equal(t, before, row.past, "the past is as it was")
		})
	}

	var long []object
	for i := range 10 * maxSurplus {
		long = append(long, ended(fmt.Sprintf("%04d", i), i))
	}
	beyond := surplus(long, 10, now)
	require.Len(t, beyond, maxSurplus)
	require.Equal(t, "0000", beyond[0].name)
}

// A hundred recurrences leave as many ended objects as the limit says, and the one
// that is active.
func TestAHistoryStaysShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &locked{store: newStore()}
		var mu sync.Mutex
		gone := 0
		d, err := newDeduplicator(s, Options{HistoryLimit: 3, Deleted: func(namespace, _ string) {
			mu.Lock()
			defer mu.Unlock()
			require.Equal(t, signal.Namespace, namespace)
			gone++
		}})
		require.NoError(t, err)
		for i := range 100 {
			outcomes, err := d.Settle(t.Context(), signal, []string{fmt.Sprint(i)}, nil)
			require.NoError(t, err)
			synctest.Wait()
			require.Len(t, s.all(), min(i+1, 4))
			s.complete(outcomes[0].Name)
			s.now = s.now.Add(redelivered + time.Second)
		}
		d.Close()
		require.Equal(t, 96, gone)
	})
}

// locked is a store that several goroutines may use.
type locked struct {
	*store
	mu sync.Mutex
	// refuse is the answer to deletions; a nil function deletes.
	refuse func(ctx context.Context) error
	tried  []string
}

func (l *locked) list(ctx context.Context, ns string, by selector) ([]object, time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store.list(ctx, ns, by)
}

func (l *locked) delete(ctx context.Context, ns, name string, uid types.UID, rv string) error {
	l.mu.Lock()
	l.tried = append(l.tried, name)
	refuse := l.refuse
	l.mu.Unlock()
	if refuse != nil {
		return refuse(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if uid == "" || rv == "" {
		return errors.New("a deletion without preconditions")
	}
	return l.store.delete(ctx, ns, name, uid, rv)
}

func TestNoAlertWaitsForTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &locked{store: newStore(), refuse: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		s.perSecond = 1
		for i := range 5 {
			s.complete(made(s.store, fmt.Sprint("old", i)))
		}
		s.now = s.now.Add(time.Hour)
		d, err := newDeduplicator(s, Options{HistoryLimit: 1})
		require.NoError(t, err)
		begun := time.Now()
		_, err = d.Settle(t.Context(), signal, []string{"a"}, nil)
		require.NoError(t, err)
		require.Zero(t, time.Since(begun))
		synctest.Wait()
		require.Len(t, s.tried, 1, "it waits for the API server")
		for range 2 * maxShortened {
			d.history.shorten(t.Context(), "ns", []object{ended("a", 1), ended("b", 2)}, epoch.Add(time.Hour))
		}
		synctest.Wait()
		require.Len(t, s.tried, maxShortened, "who finds no place leaves it to the next one")
		d.Close()
		require.Zero(t, time.Since(begun), "who stops does not wait for it either")

		d, err = newDeduplicator(s, Options{HistoryLimit: 1})
		require.NoError(t, err)
		d.history.shorten(t.Context(), "ns", []object{ended("a", 1), ended("b", 2)}, epoch.Add(time.Hour))
		d.history.done.Wait()
		require.Equal(t, shortenTimeout, time.Since(begun), "and it has an end")
	})
}

func TestAFaultEndsTheShortening(t *testing.T) {
	past := []object{ended("a", 1), ended("b", 2), ended("c", 3), ended("d", 4)}
	for name, row := range map[string]struct {
		err   error
		tried []string
	}{
		"somebody changed it":      {apierrors.NewConflict(resource, "a", errors.New("it has changed")), []string{"a", "b", "c"}},
		"somebody deleted it":      {apierrors.NewNotFound(resource, "a"), []string{"a", "b", "c"}},
		"it may not delete":        {apierrors.NewForbidden(resource, "a", errors.New("no")), []string{"a"}},
		"the server is in trouble": {apierrors.NewInternalError(errors.New("trouble")), []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &locked{store: newStore(), refuse: func(context.Context) error { return row.err }}
			h := newHistory(s, 1, func(string, string) { t.Error("nothing was deleted") })
			h.shorten(t.Context(), "ns", past, epoch.Add(time.Hour))
			h.done.Wait()
			require.Equal(t, row.tried, s.tried)
		})
	}
}

// With nobody to tell, all of the surplus is deleted. The context ends with the work, and
// close waits for it.
func TestAHistoryIsShortenedToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used context.Context
		s := &locked{store: newStore(), refuse: func(ctx context.Context) error { used = ctx; return nil }}
		h := newHistory(s, 1, nil)
		past := []object{ended("a", 1), ended("b", 2), ended("c", 3)}
		h.shorten(t.Context(), "ns", past, epoch.Add(time.Hour))
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, s.tried)
		require.ErrorIs(t, used.Err(), context.Canceled)

		gone := false
		s.refuse = func(ctx context.Context) error {
			<-ctx.Done()
			pass(time.Second)
			gone = true
			return ctx.Err()
		}
		h.shorten(t.Context(), "ns", past, epoch.Add(time.Hour))
		synctest.Wait()
		h.close()
		require.True(t, gone)
	})
}
