package dedup

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A long past is listed alone, only a few of them at once, and no other List waits for
// it.
func TestALongPastKeepsToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fingerprints, objects := subjects(20)
		for i := range objects {
			objects[i].partial = i > 10
		}
		g := newListBatcher(&listing{objects: objects})
		require.NoError(t, errors.Join(ask(t, g, fingerprints, objects)...))
		require.Len(t, g.longPasts, 9)
		l := &listing{objects: objects}
		g.api = l
		require.NoError(t, errors.Join(ask(t, g, fingerprints, objects)...))
		alone := 0
		for _, by := range l.lists {
			if by.fingerprint != "" {
				alone++
			}
			require.LessOrEqual(t, len(by.labels), 10)
		}
		require.Equal(t, 10, alone, "the first, and those with a long past")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.True(t, g.longLists.TryAcquire(maxLongLists))
		_, _, err := g.list(ctx, "ns", fingerprints[19], nil)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// The List after a create leaves ended objects out if no List can be shared.
func TestALookLeavesEndedObjectsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newListBatcher(&listing{})
		require.False(t, g.activeOnly("ns", 0), "there is nothing to leave out")
		require.True(t, g.activeOnly("ns", 1), "nobody else makes a List")
		var other sync.WaitGroup
		other.Go(func() { _, _, _ = g.list(t.Context(), "ns", digest("other"), nil) })
		synctest.Wait()
		require.False(t, g.activeOnly("ns", manyEnded-1), "the next List is shared")
		require.True(t, g.activeOnly("ns", manyEnded))
		require.True(t, g.activeOnly("elsewhere", 1))
		other.Wait()
		require.True(t, g.activeOnly("ns", 1))
	})
}
