//go:build !race

package dedup

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
)

// Of two active objects that no race made, the one that a controller works on stays.
func TestTheObjectThatAControllerWorksOnStays(t *testing.T) {
	now := epoch.Add(time.Hour)
	for reason, row := range map[string]struct {
		phases [2]string // of the older and the younger
		age    time.Duration
		fresh  types.UID
		stays  types.UID
	}{
		"nobody works on either":                {[2]string{"", ""}, settledAge, "", "old"},
		"on the older":                          {[2]string{"Executing", ""}, settledAge, "", "old"},
		"on the younger":                        {[2]string{"", "Executing"}, settledAge, "", "young"},
		"on both":                               {[2]string{"Pending", "Executing"}, settledAge, "", "old"},
		"on the younger, which may be a race's": {[2]string{"", "Executing"}, settledAge - time.Second, "", "old"},
		"the younger is this very handler's":    {[2]string{"", ""}, 0, "young", "old"},
	} {
		t.Run(reason, func(t *testing.T) {
			older := object{name: "b", uid: "old", ours: true, phase: row.phases[0], createdAt: now.Add(-row.age - time.Minute)}
			younger := object{name: "a", uid: "young", ours: true, phase: row.phases[1], createdAt: now.Add(-row.age)}
			for _, active := range [][]object{{older, younger}, {younger, older}} {
				v := decide("f", past{objects: active, keys: []string{"k"}, created: row.fresh, now: now})
				require.Equal(t, merge, v.action)
				require.Equal(t, row.stays, v.object.uid)
				require.ElementsMatch(t, []types.UID{"old", "young"}, []types.UID{v.object.uid, v.duplicate.uid})
			}
		})
	}
}

// After a restore of etcd nothing that is remembered holds any more: an object that
// ended since is active again.
func TestNothingIsCachedAcrossARestore(t *testing.T) {
	s := newStore()
	s.perSecond = 1
	ended := old(s, 1)[0]
	made(s, "a")
	s.now = s.now.Add(settledAge + time.Minute)
	counted := &counting{api: s, calls: map[string]int{}}
	d, err := newDeduplicator(counted, Options{SignalType: "alert"})
	require.NoError(t, err)
	settle := func(key string) Outcome {
		clear(counted.calls)
		outcomes, err := d.Settle(t.Context(), signal, []string{key}, nil)
		require.NoError(t, err)
		return outcomes[0]
	}
	settle("b")
	before := s.clone()
	before.setStatus(ended, map[string]any{"overallPhase": ""}) // It ended after the snapshot.
	settle("c")
	settle("d")
	require.Equal(t, map[string]int{"patch": 1}, counted.calls, "the past is remembered")
	other := subject{"ns", "another"}
	d.cache.put(other, cacheEntry{})

	*s = *before
	require.Equal(t, ended, settle("e").Name)
	require.NotZero(t, counted.calls["list"])
	require.Len(t, s.all(), 1, "the one that came after it is merged")
	_, ok := d.cache.lookup(other)
	require.False(t, ok, "other pasts are given up too")
}

func TestRevisionsAreComparedAsNumbers(t *testing.T) {
	require.True(t, olderRevision("9", "10"))
	require.False(t, olderRevision("10", "9"))
	require.False(t, olderRevision("9", "9"))
	require.False(t, olderRevision("", "9"))
	require.False(t, olderRevision("x", "9"))
}
