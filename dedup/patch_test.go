package dedup

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// twinStore holds two active objects of ours, made by the keys a and b.
func twinStore(t *testing.T) *store {
	t.Helper()
	s := newStore()
	for _, key := range []string{"a", "b"} {
		_, err := s.create(context.Background(), "", map[string]any{"metadata": map[string]any{
			"name": key, "labels": map[string]any{managedByLabel: managedBy}, "annotations": map[string]any{eventAnnotation: key},
		}})
		require.NoError(t, err)
	}
	return s
}

// countOn counts n new keys on an object.
func (s *store) countOn(t *testing.T, name, prefix string, n int) {
	t.Helper()
	for i := range n {
		o := s.seen[name].object
		_, changed := o.withKeys([]string{fmt.Sprint(prefix, i)}, nil, epoch)
		_, err := s.patchStatus(context.Background(), "", name, patchTo(o, changed))
		require.NoError(t, err)
	}
}

// merge moves b's record to a and tells whether there was any to move.
func (s *store) merge(t *testing.T) bool {
	t.Helper()
	o := s.seen["a"].object
	patch := patchTo(o, o.withDuplicate(s.seen["b"].object, ""))
	if patch == nil {
		return false
	}
	_, err := s.patchStatus(context.Background(), "", "a", patch)
	require.NoError(t, err)
	return true
}

func TestAMergeAddsEachOccurrenceOnce(t *testing.T) {
	for reason, row := range map[string]struct {
		before, between int // counts on the duplicate, before the first merge and after it
		shared          int // of those before, how many the survivor has too
	}{
		"a duplicate of one":                         {0, 0, 0},
		"a duplicate with a few":                     {5, 0, 0},
		"keys that both have are one":                {5, 0, 3},
		"more counts than keys":                      {MinKeys + 50, 0, 0},
		"a healer that crashed before the delete":    {5, 4, 0},
		"the same with more counts than keys":        {MinKeys + 50, 20, 0},
		"keyed at the first merge, not at the other": {MinKeys - 20, 60, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			s := twinStore(t)
			s.countOn(t, "b", "x", row.before)
			s.countOn(t, "a", "x", row.shared)
			want := 2 + row.before
			require.True(t, s.merge(t))
			require.EqualValues(t, want, s.seen["a"].count)
			require.False(t, s.merge(t), "there is nothing left to merge")

			s.countOn(t, "b", "y", row.between)
			require.Equal(t, row.between > 0, s.merge(t))
			require.EqualValues(t, want+row.between, s.seen["a"].count)
			if want+row.between <= MinKeys {
				require.EqualValues(t, 2+row.shared, s.seen["a"].events["b"].count, "who made a duplicate comes after what was counted")
			}
			require.LessOrEqual(t, len(s.seen["a"].events), MinKeys+2, "with those that made the two")
		})
	}
}

// Handlers that counted on an object of ours before it yielded to a foreign one
// have answered; its maker has not.
func TestAForeignSurvivorMakesDuplicates(t *testing.T) {
	s := twinStore(t)
	s.objects["a"].SetLabels(nil)
	s.objects["a"].SetAnnotations(nil)
	s.countOn(t, "b", "x", 2)
	a := s.seen["a"].object
	_, err := s.patchStatus(t.Context(), "", "a", patchTo(a, a.withDuplicate(s.seen["b"].object, s.seen["b"].uid)))
	require.NoError(t, err)
	a = s.seen["a"].object
	require.EqualValues(t, 4, a.count)
	require.Equal(t, map[string]recordEntry{"b": entryAt(2, epoch), "x0": entryAt(2, epoch), "x1": entryAt(3, epoch)}, a.events)
}

func TestAMergeCarriesWhatADuplicateHadAbsorbed(t *testing.T) {
	s := twinStore(t)
	b := s.seen["b"].object
	_, err := s.patchStatus(context.Background(), "", "b", patchTo(b, b.withDuplicate(object{uid: "third", count: 200, events: map[string]recordEntry{}}, "")))
	require.NoError(t, err)
	require.True(t, s.merge(t))
	require.EqualValues(t, 200, s.seen["a"].absorbed["third"])
	require.EqualValues(t, 202, s.seen["a"].count)
}
