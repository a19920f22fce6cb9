package dedup

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// twinStore holds two active objects of ours, made by the keys a and b.
func twinStore(t *testing.T) *store {
	t.Helper()
	s := newStore()
	for _, key := range []string{"a", "b"} {
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetName(key)
		u.SetLabels(map[string]string{managedByLabel: managedBy})
		u.SetAnnotations(map[string]string{eventAnnotation: key})
		_, err := s.Create(context.Background(), "", u)
		require.NoError(t, err)
	}
	return s
}

func (s *store) get(name string) object { return observe(s.objects[name]) }

// countOn counts n new keys on an object.
func (s *store) countOn(t *testing.T, name, prefix string, n int) {
	t.Helper()
	for i := range n {
		patch, _ := countPatch(s.get(name), []string{fmt.Sprint(prefix, i)}, epoch)
		require.NoError(t, s.PatchStatus(context.Background(), "", name, patch))
	}
}

// merge moves b's record to a and tells whether there was any to move.
func (s *store) merge(t *testing.T) bool {
	t.Helper()
	patch := mergePatch(s.get("a"), s.get("b"), "")
	if patch == nil {
		return false
	}
	require.NoError(t, s.PatchStatus(context.Background(), "", "a", patch))
	return true
}

func TestAMergeAddsEachOccurrenceOnce(t *testing.T) {
	for reason, row := range map[string]struct {
		before, between int // counts on the twin, before the first merge and after it
		shared          int // of those before, how many the survivor has too
	}{
		"a twin of one":                              {0, 0, 0},
		"a twin with a few":                          {5, 0, 0},
		"keys that both have are one":                {5, 0, 3},
		"more counts than keys":                      {MaxEvents + 50, 0, 0},
		"a healer that crashed before the delete":    {5, 4, 0},
		"the same with more counts than keys":        {MaxEvents + 50, 20, 0},
		"keyed at the first merge, not at the other": {MaxEvents - 20, 60, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			s := twinStore(t)
			s.countOn(t, "b", "x", row.before)
			s.countOn(t, "a", "x", row.shared)
			want := 2 + row.before
			require.True(t, s.merge(t))
			require.EqualValues(t, want, s.get("a").count)
			require.False(t, s.merge(t), "there is nothing left to merge")

			s.countOn(t, "b", "y", row.between)
			require.Equal(t, row.between > 0, s.merge(t))
			require.EqualValues(t, want+row.between, s.get("a").count)
			if want+row.between <= MaxEvents {
				require.EqualValues(t, 1, s.get("a").events["b"], "who made a twin stays one who made one")
			}
			require.LessOrEqual(t, len(s.get("a").events), MaxEvents+1)
		})
	}
}

// Whoever counted on an object of ours before it yielded to a foreign one was
// answered; who made it was not.
func TestAForeignSurvivorMakesDuplicates(t *testing.T) {
	s := twinStore(t)
	s.objects["a"].SetLabels(nil)
	s.objects["a"].SetAnnotations(nil)
	s.countOn(t, "b", "x", 2)
	patch := mergePatch(s.get("a"), s.get("b"), s.get("b").uid)
	require.NoError(t, s.PatchStatus(t.Context(), "", "a", patch))
	a := s.get("a")
	require.EqualValues(t, 4, a.count)
	require.Equal(t, map[string]int32{"b": 2, "x0": 2, "x1": 3}, a.events)
}

func TestAMergeCarriesWhatATwinHadAbsorbed(t *testing.T) {
	s := twinStore(t)
	patch := mergePatch(s.get("b"), object{uid: "third", count: 200, events: map[string]int32{}}, "")
	require.NoError(t, s.PatchStatus(context.Background(), "", "b", patch))
	require.True(t, s.merge(t))
	require.EqualValues(t, 200, s.get("a").absorbed["third"])
	require.EqualValues(t, 202, s.get("a").count)
}
