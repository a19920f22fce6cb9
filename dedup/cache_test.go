package dedup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
)

// reads is an API whose reads of one object are answered by the test.
type reads struct {
	api
	get1 func() (object, error)
}

func (r reads) get(context.Context, string, string) (object, error) { return r.get1() }

// A cached List is used for maxCacheAge after it was made, no matter how often. The times
// that are written meanwhile come from the API server's clock, which is decades ahead
// here.
func TestACacheEntryIsUsedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		name := made(s, "a")
		s.now = s.now.Add(settledAge + time.Second)
		listed := s.now
		counted := &counting{api: s, calls: map[string]int{}}
		d, err := newDeduplicator(counted, Options{SignalType: "alert"})
		require.NoError(t, err)
		settle := func(key string, want map[string]int) {
			t.Helper()
			clear(counted.calls)
			_, err := d.Settle(t.Context(), signal, []string{key}, nil)
			require.NoError(t, err)
			require.Equal(t, want, counted.calls)
		}
		begun := time.Now()
		at := func(after time.Duration) { pass(time.Until(begun.Add(after))) }
		settle("b", map[string]int{"list": 1, "patch": 1})
		at(time.Minute)
		settle("c", map[string]int{"patch": 1})
		require.WithinDuration(t, listed.Add(time.Minute), s.seen[name].lastSeen, time.Second)
		at(maxCacheAge)
		settle("d", map[string]int{"patch": 1})
		at(maxCacheAge + 2*time.Millisecond) // The patch took one.
		settle("e", map[string]int{"list": 1, "patch": 1})
	})
}

// A cached object is used only if it is still the same object, in the same state of etcd
// or a later one.
func TestWhatAnObjectThatIsReadAgainMustBe(t *testing.T) {
	ended := object{uid: "ended", name: "ended", phase: completed}
	known := object{uid: "u", name: "n", resourceVersion: "10", ours: true}
	about, other := subject{"ns", "f"}, subject{"ns", "another"}
	for reason, row := range map[string]struct {
		read     object
		err      error
		believed bool
		others   bool // whether other cache entries stay
		doubt    bool // whether the cache entry counts as outdated
	}{
		"as it was":                         {read: object{uid: "u", resourceVersion: "10", phase: "x"}, believed: true, others: true},
		"changed since":                     {read: object{uid: "u", resourceVersion: "11", phase: "x"}, believed: true, others: true, doubt: true},
		"made again under its name":         {read: object{uid: "v", resourceVersion: "11"}, others: true},
		"of a state that etcd was put back": {read: object{uid: "u", resourceVersion: "9"}},
		"gone":                              {err: errors.New("not found"), others: true},
	} {
		t.Run(reason, func(t *testing.T) {
			d, err := newDeduplicator(reads{get1: func() (object, error) { return row.read, row.err }}, Options{})
			require.NoError(t, err)
			m := d.cache.(*lruCache)
			m.stale = 1 // Every object is read again.
			now := time.Now()
			m.put(about, cacheEntry{objects: []object{ended, known}, listedAt: now})
			m.put(other, cacheEntry{})
			h := d.handler(signal)
			h.subject, h.clock = about, func() time.Time { return now }
			require.Equal(t, row.believed, h.loadCached(t.Context()))
			require.Equal(t, row.believed, h.fromCache)
			require.False(t, h.unverified)
			_, ok := m.lookup(about)
			require.Equal(t, row.believed, ok)
			_, ok = m.lookup(other)
			require.Equal(t, row.others, ok)
			if !row.believed {
				require.Nil(t, h.objects)
				require.InDelta(t, 1, m.stale, 0)
				return
			}
			require.Equal(t, []object{ended, row.read}, h.objects)
			require.Equal(t, now, h.now)
			require.Equal(t, row.doubt, m.stale == 1.)
			require.LessOrEqual(t, h.cache.(*lruCache).stale, 1.)
			stale := m.stale
			require.True(t, h.loadCached(t.Context()), "its patch failed")
			require.InDelta(t, stale, m.stale, 0, "the entry was judged already")
			h.objects, h.fromCache = nil, false
			require.False(t, h.loadCached(t.Context()), "after that it takes a List")
		})
	}
}

// Objects are read again when more than one cache entry in ten is outdated.
func TestHowManyOutdatedEntriesMakeTheCacheUnreliable(t *testing.T) {
	m, err := newCache()
	require.NoError(t, err)
	for i := range 6 {
		require.Equal(t, i >= 4, m.unreliable(), "after %d old ones", i)
		if i < 4 {
			m.observe(false)
		}
	}
	for range 5 {
		m.observe(true)
		require.True(t, m.unreliable())
	}
	m.observe(true)
	require.False(t, m.unreliable())
	m.stale = maxStale
	require.False(t, m.unreliable(), "at the bound")
}

func TestTheNumberOfCachedSubjectsIsBounded(t *testing.T) {
	m, err := newCache()
	require.NoError(t, err)
	about := func(i int) subject { return subject{"ns", fmt.Sprint(i)} }
	for i := range maxCached + 1 {
		m.put(about(i), cacheEntry{})
	}
	_, ok := m.lookup(about(0))
	require.False(t, ok)
	_, ok = m.lookup(about(1))
	require.True(t, ok)
}

// Each condition for the caching of a past, at its bound.
func TestWhatIsCached(t *testing.T) {
	now := epoch.Add(time.Hour)
	keys := func(n int) map[string]recordEntry {
		all := map[string]recordEntry{}
		for i := range n {
			all[fmt.Sprint(i)] = recordEntry{}
		}
		return all
	}
	settled := object{uid: "u", ours: true, resourceVersion: "2", createdAt: now.Add(-settledAge)}
	ended := object{uid: "ended", ours: true, phase: completed, labels: "{}", foreign: []rawText{rawText("x")}}
	for reason, row := range map[string]struct {
		change func(o *object)
		past   func(o *object) // changes the ended object beside it
		skew   time.Duration
		kept   bool
	}{
		"old enough":                               {kept: true},
		"a second too young":                       {change: func(o *object) { o.createdAt = now.Add(time.Second - settledAge) }},
		"too young by the API server's clock":      {skew: -time.Second},
		"old enough by the API server's clock":     {skew: time.Second, change: func(o *object) { o.createdAt = now.Add(time.Second - settledAge) }, kept: true},
		"another is active":                        {past: func(o *object) { o.phase = "" }},
		"of others":                                {change: func(o *object) { o.ours = false }},
		"ended":                                    {change: func(o *object) { o.phase = completed }},
		"of no known revision":                     {change: func(o *object) { o.resourceVersion = "" }},
		"as many keys as may be":                   {change: func(o *object) { o.events = keys(maxCachedKeys - 1) }, past: func(o *object) { o.events = keys(1) }, kept: true},
		"one key more":                             {change: func(o *object) { o.events = keys(maxCachedKeys) }, past: func(o *object) { o.events = keys(1) }},
		"as much text as may be":                   {change: func(o *object) { o.labels = strings.Repeat("x", maxCachedText) }, kept: true},
		"one byte more":                            {change: func(o *object) { o.labels = strings.Repeat("x", maxCachedText+1) }},
		"a past that is not here whole":            {past: func(o *object) { o.partial = true }},
		"a past that is not here whole, of itself": {change: func(o *object) { o.partial = true }},
	} {
		t.Run(reason, func(t *testing.T) {
			d, err := newDeduplicator(newStore(), Options{})
			require.NoError(t, err)
			changed, beside := settled, ended
			if row.change != nil {
				row.change(&changed)
			}
			if row.past != nil {
				row.past(&beside)
			}
			before := changed
			before.resourceVersion = "1"
			h := d.handler(signal)
			h.entry = cacheEntry{listedAt: now, clockSkew: row.skew}
			h.cachePast([]object{beside, before}, changed)
			m, ok := d.cache.lookup(h.subject)
			require.Equal(t, row.kept, ok)
			if ok {
				beside.labels, beside.foreign = "", nil
				require.Equal(t, cacheEntry{objects: []object{beside, changed}, listedAt: now, clockSkew: row.skew}, m)
			}
		})
	}
}

func TestTheTextsOfAnObject(t *testing.T) {
	o := object{
		labels: "12345", foreign: []rawText{rawText("123"), rawText("12")},
		folds: folds{others: []folded{{alert: alert{name: "name"}, labels: map[string]string{"a": "bc", "de": "f"}}, {alert: alert{name: "n"}}}},
	}
	require.Equal(t, 5+3+2+4+3+3+1, o.textSize())
}

// The oldest of several active objects counts, whoever made it. Only the listed phases
// are terminal.
func TestWhichActiveObjectCounts(t *testing.T) {
	at := func(minute int, ours bool) object {
		return object{name: fmt.Sprint(minute), uid: types.UID(fmt.Sprint(minute)), ours: ours, createdAt: epoch.Add(time.Duration(minute) * time.Minute)}
	}
	now := epoch.Add(time.Hour)
	for _, active := range [][]object{{at(1, false), at(2, true)}, {at(2, true), at(1, false)}, {at(3, false), at(1, false), at(2, false)}} {
		v := decide("f", past{objects: active, keys: []string{"k"}, now: now})
		require.Equal(t, count, v.action)
		require.Equal(t, "1", v.object.name)
	}
	v := decide("f", past{objects: []object{at(2, false), at(1, true)}, keys: []string{"k"}, now: now})
	require.Equal(t, "1", v.object.name)
}

// Of our own objects only the one that this handler made yields to another program's.
func TestWhichObjectYieldsToAnotherProgram(t *testing.T) {
	active := []object{
		{name: "a", uid: "ours", ours: true, createdAt: epoch}, {name: "b", uid: "made", ours: true, createdAt: epoch},
		{name: "c", uid: "others", createdAt: epoch}, {name: "d", uid: "last", ours: true, createdAt: epoch},
	}
	v := decide("f", past{objects: active, keys: []string{"k"}, created: "made", now: epoch.Add(time.Hour)})
	require.Equal(t, []any{merge, types.UID("others"), types.UID("made")}, []any{v.action, v.object.uid, v.duplicate.uid})
}

func TestWhichPhasesAreTerminal(t *testing.T) {
	for _, phase := range []string{"Completed", "Failed", "TimedOut", "Skipped", "Cancelled"} {
		require.True(t, object{phase: phase}.terminal(), phase)
		require.Contains(t, notEnded, ",status.overallPhase!="+phase)
	}
	for _, phase := range []string{"", "Pending", "Processing", "Analyzing", "AwaitingApproval", "Executing", "Verifying", "Blocked", "completed", "Unknown"} {
		require.False(t, object{phase: phase}.terminal(), phase)
	}
	require.Len(t, terminalPhases, 5)
	require.True(t, object{deleting: true}.terminal())
}
