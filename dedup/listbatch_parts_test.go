package dedup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
)

// instant is an API whose Lists take no time. It records them.
type instant struct {
	api
	answer func(selector) ([]object, time.Time, error)

	mu    sync.Mutex
	lists []selector
}

func (i *instant) list(_ context.Context, _ string, by selector) ([]object, time.Time, error) {
	i.mu.Lock()
	i.lists = append(i.lists, by)
	i.mu.Unlock()
	if i.answer == nil {
		return nil, epoch, nil
	}
	return i.answer(by)
}

// forAll asks for n fingerprints.
func forAll(n int) listRequest {
	w := listRequest{fingerprints: map[string]bool{}, keys: []string{"k"}}
	for i := range n {
		w.fingerprints[digest(fmt.Sprint(i))] = true
	}
	return w
}

func TestEveryListNamesTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n, lists := range map[int]int{1: 1, 2: 2, 3: 2} { // one, each, and both together
			i := &instant{}
			newListBatcher(i).lists(t.Context(), "ns", forAll(n))
			require.Len(t, i.lists, lists)
			for _, by := range i.lists {
				require.Equal(t, []string{"k"}, by.keys, "%d: %+v", n, by)
			}
		}
		i := &instant{}
		g := newListBatcher(i)
		for range 2 { // in a batch, and alone
			_, _, err := g.list(t.Context(), "ns", "f", []string{"a", "b"})
			require.NoError(t, err)
			g.noteLong("ns", "f", []object{{partial: true}})
		}
		require.Equal(t, []selector{{fingerprint: "f", keys: []string{"a", "b"}}, {fingerprint: "f", keys: []string{"a", "b"}}}, i.lists)
	})
}

// For a second after a namespace had no object without our label, such objects are not
// asked for. A List that does not ask does not make that second longer.
func TestHowLongObjectsWithoutTheLabelAreNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, othersBroken := false, false
		var others []object
		i := &instant{answer: func(by selector) ([]object, time.Time, error) {
			switch {
			case broken:
				return nil, epoch, errors.New("no")
			case by.labels == nil && othersBroken:
				return nil, epoch, errors.New("no")
			case by.labels == nil:
				return others, epoch, nil
			}
			return nil, epoch, nil
		}}
		g := newListBatcher(i)
		for step, row := range []struct {
			after  time.Duration
			change func()
			lists  int
		}{
			{0, nil, 2},
			{noneUnlabelledFor - 1, nil, 1},
			{1, nil, 2},
			{noneUnlabelledFor, func() { others = []object{{uid: "x"}} }, 2},
			{0, nil, 2},
			{0, func() { broken = true }, 1},
			{0, func() { broken, others, othersBroken = false, nil, true }, 2},
			{0, func() { othersBroken = false }, 2},
			{0, nil, 1},
		} {
			pass(row.after)
			if row.change != nil {
				row.change()
			}
			i.lists = nil
			g.lists(t.Context(), "ns", forAll(3))
			require.Len(t, i.lists, row.lists, step)
		}
	})
}

// A fingerprint with a long past is listed alone until a minute has passed since its past
// was last long.
func TestHowLongALongPastIsListedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := true
		g := newListBatcher(&instant{answer: func(selector) ([]object, time.Time, error) {
			return []object{{partial: long, fingerprint: "f"}}, epoch, nil
		}})
		alone := func() bool { return g.holds(g.longPasts, "ns/f") }
		for range 3 {
			_, _, err := g.list(t.Context(), "ns", "f", nil)
			require.NoError(t, err)
			require.True(t, alone())
			pass(tooManyFor - 1)
			require.True(t, alone())
		}
		long = false
		_, _, err := g.list(t.Context(), "ns", "f", nil)
		require.NoError(t, err)
		pass(1)
		require.False(t, alone())
	})
}

func TestAListAloneThatFails(t *testing.T) {
	trouble := errors.New("trouble")
	synctest.Test(t, func(t *testing.T) {
		i := &instant{answer: func(selector) ([]object, time.Time, error) { return nil, epoch, trouble }}
		g := newListBatcher(i)
		g.noteLong("ns", "f", []object{{partial: true}})
		_, _, err := g.list(t.Context(), "ns", "f", nil)
		require.ErrorIs(t, err, trouble)

		require.True(t, g.longLists.TryAcquire(maxLongLists))
		require.False(t, g.longLists.TryAcquire(1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		i.lists = nil
		_, _, err = g.list(ctx, "ns", "f", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "waiting for a slot among the Lists of long pasts")
		require.Empty(t, i.lists)
		g.longLists.Release(maxLongLists) // It panics if somebody else has released a slot.
	})
	synctest.Test(t, func(t *testing.T) {
		fingerprints, objects := subjects(5)
		g := newListBatcher(&listing{objects: objects, fail: func(by selector) error {
			switch {
			case by.labels != nil:
				return errTooLarge
			case by.fingerprint == fingerprints[2]:
				return trouble
			}
			return nil
		}})
		for i, err := range ask(t, g, fingerprints, objects) {
			if i == 2 {
				require.ErrorIs(t, err, trouble)
			} else {
				require.NoError(t, err)
			}
		}
	})
}

func TestABatchLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fingerprints, objects := subjects(2)
		var used []context.Context
		g := newListBatcher(&listing{objects: objects, seen: func(ctx context.Context) { used = append(used, ctx) }})
		require.NoError(t, errors.Join(ask(t, g, fingerprints, objects)...))
		require.Len(t, used, 2)
		require.ErrorIs(t, used[1].Err(), context.Canceled)
	})
}

func TestUntilWhenABatchMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, time.Now().Add(maxWait), deadline(context.Background()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Equal(t, time.Now().Add(time.Second), deadline(ctx))
	})
}

func TestHowManyListsOfABatchAreMadeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		i := &instant{answer: func(selector) ([]object, time.Time, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			pass(time.Second)
			mu.Lock()
			defer mu.Unlock()
			running--
			return nil, epoch, nil
		}}
		listEach(t.Context(), i, "ns", forAll(2*maxParallelLists+1))
		require.Equal(t, maxParallelLists, most)
	})
}

// The API server's clock is that of the earliest List that answered.
func TestTheClockOfListsOneByOne(t *testing.T) {
	for range 20 {
		n, mu := 0, sync.Mutex{}
		i := &instant{answer: func(selector) ([]object, time.Time, error) {
			mu.Lock()
			defer mu.Unlock()
			n++
			if n == 2 {
				return nil, time.Time{}, errors.New("no")
			}
			return nil, epoch.Add([]time.Duration{3, 0, 1, 2}[n-1]), nil
		}}
		all := listEach(t.Context(), i, "ns", forAll(4))
		require.Equal(t, epoch.Add(1), all.now)
	}
}

func TestListsTogether(t *testing.T) {
	same := []string{strings.Repeat("a", 12) + "1", strings.Repeat("a", 12) + "2", strings.Repeat("b", 12)}
	w := listRequest{fingerprints: map[string]bool{}}
	for _, f := range same {
		w.fingerprints[f] = true
	}
	for range 20 {
		i := &instant{answer: func(selector) ([]object, time.Time, error) {
			return []object{{uid: "1", fingerprint: same[0]}, {uid: "2", fingerprint: "other"}}, epoch, nil
		}}
		all, none := listTogether(t.Context(), i, "ns", w, true)
		require.False(t, none)
		require.Equal(t, map[string][]object{same[0]: {{uid: "1", fingerprint: same[0]}}}, all.objects, "no other fingerprint, and no object twice")
		require.Equal(t, []string{same[0][:12], same[2]}, i.lists[0].labels, "each label once, in the same order")
	}
}

// A chunk of labels that is too large says nothing of the others, and the clock is that
// of the first.
func TestAChunkThatIsTooLarge(t *testing.T) {
	first := true
	var large []string
	i := &instant{answer: func(by selector) ([]object, time.Time, error) {
		if first {
			first = false
			return []object{{uid: types.UID("u"), fingerprint: "f"}}, epoch, nil
		}
		large = by.labels
		return nil, time.Time{}, errTooLarge
	}}
	w := forAll(maxLabels + 3)
	all, _ := listTogether(t.Context(), i, "ns", w, false)
	require.Equal(t, epoch, all.now)
	require.Len(t, large, 3)
	require.Len(t, all.errs, 3)
	for fingerprint := range all.errs {
		require.True(t, slices.Contains(large, label(fingerprint)))
	}

	second := &instant{}
	second.answer = func(selector) ([]object, time.Time, error) {
		return nil, epoch.Add(time.Duration(len(second.lists)) * time.Second), nil
	}
	all, none := listTogether(t.Context(), second, "ns", w, false)
	require.Equal(t, epoch.Add(time.Second), all.now)
	require.False(t, none, "nobody asked for others")
}
