package dedup

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// nth makes the nth object of a past, ended unless it is active, with keys.
func nth(n int, active bool, keys ...string) object {
	o := object{
		name: fmt.Sprintf("rr-%05d", n), uid: types.UID(fmt.Sprint("uid", n)), fingerprint: signal.Fingerprint, ours: true,
		createdAt: epoch.Add(time.Duration(n) * time.Minute), phase: completed, count: 1, labels: `{"a":"b"}`,
		foreign: []rawText{`{"type":"Ready"}`}, events: map[string]recordEntry{},
	}
	if active {
		o.phase = "Executing"
	}
	for i, key := range keys {
		o.events[key] = recordEntry{int32(i + 1), o.createdAt.Unix()}
	}
	return o
}

func keptOf(t *testing.T, keys []string, all ...object) []object {
	t.Helper()
	k := newPastReducer(keys, enough)
	for _, o := range all {
		require.NoError(t, k.add(o))
	}
	return k.objects()
}

func TestAShortPastIsKeptWithAllKeys(t *testing.T) {
	var all []object
	for i := range maxPast {
		all = append(all, nth(i, i == 7, fmt.Sprint("key", i)))
	}
	objects := keptOf(t, []string{"none"}, all...)
	require.Len(t, objects, maxPast)
	for i, o := range objects {
		require.Equal(t, all[i].events, o.events)
		require.False(t, o.partial)
		require.Equal(t, i == 7, o.labels != "", "what only a count needs is of no use on an ended object")
	}
}

func TestOfALongPastOnlyTheNewestAndWhatIsAskedForAreKept(t *testing.T) {
	const n = 10_000
	var all []object
	for i := range n {
		all = append(all, nth(i, i == 4000, fmt.Sprint("key", i), fmt.Sprint("also", i)))
	}
	objects := keptOf(t, []string{"key17", "also9000", "key4000", "none"}, all...)
	var names []string
	for _, o := range objects {
		names = append(names, o.name)
		require.Equal(t, o.terminal(), o.partial)
	}
	want := []string{all[17].name, all[4000].name, all[9000].name}
	for _, o := range all[n-maxEnded:] {
		want = append(want, o.name)
	}
	require.Equal(t, want, names)
	for key, at := range map[string]string{"key17": all[17].name, "also9000": all[9000].name, "key4000": all[4000].name} {
		o, m, ok := recorded(objects, key)
		require.True(t, ok)
		require.Equal(t, at, o.name)
		require.NotZero(t, m.count)
	}
	require.Empty(t, objects[len(objects)-1].events, "nobody asked for its keys")
}

func TestKeysAloneMakeAPastLong(t *testing.T) {
	var keys []string
	for i := range maxPast + 1 {
		keys = append(keys, fmt.Sprint("key", i))
	}
	objects := keptOf(t, keys[:1], nth(1, false, keys...), nth(2, false, "other"))
	require.Equal(t, map[string]recordEntry{"key0": {1, objects[0].createdAt.Unix()}}, objects[0].events)
	require.True(t, objects[1].partial)
}

// A count on an ended object writes its whole record, so the whole record must be kept.
func TestWhatAsksForQuietIsKeptWhole(t *testing.T) {
	var all []object
	for i := range 2 * maxPast {
		all = append(all, nth(i, false, "key"))
	}
	last := nth(2*maxPast, false, "a", "b")
	last.manualReview = true
	objects := keptOf(t, nil, append(all, last)...)
	found := objects[len(objects)-1]
	last.partial = true
	require.Equal(t, last, found)
}

func TestPastsOfSeveralFingerprintsAreKeptApart(t *testing.T) {
	k := newPastReducer(nil, enough)
	for i := range maxPast + 100 {
		require.NoError(t, k.add(nth(i, false, "key")))
	}
	other := nth(0, false, "key")
	other.fingerprint = digest("another")
	require.NoError(t, k.add(other))
	i := slices.IndexFunc(k.objects(), func(o object) bool { return o.fingerprint == other.fingerprint })
	require.NotEqual(t, -1, i)
	require.NotEmpty(t, k.objects()[i].events)
	require.False(t, k.objects()[i].partial)
}

func TestWhatIsKeptTakesMemoryThatCanRunOut(t *testing.T) {
	k := newPastReducer(nil, func(int) error { return errBusy })
	require.ErrorIs(t, k.add(nth(1, true)), errBusy)
	asked := 0
	k = newPastReducer(nil, func(n int) error { asked += n; return nil })
	for i := range 100 * maxPast {
		require.NoError(t, k.add(nth(i, false)))
	}
	require.Less(t, asked, longMemory, "what is dropped is given back")
	require.Greater(t, asked, listMemory)
}

// The decision on a reduced past is the same as on the whole past, for any past and any
// keys.
func TestWhatIsKeptDecidesAsAllOfItWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []object
		s := newStore()
		s.perSecond = rapid.IntRange(1, 3).Draw(t, "perSecond")
		for i := range rapid.IntRange(0, 12).Draw(t, "objects") {
			name := made(s, fmt.Sprint("key", i), fmt.Sprint("also", i))
			switch rapid.IntRange(0, 4).Draw(t, "end") {
			case 0:
				s.review(name)
			case 1:
				s.backOff(name)
			case 2:
				s.remove(name)
			default:
				s.complete(name)
			}
			s.now = s.now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "later")) * time.Minute)
		}
		if rapid.Bool().Draw(t, "active") {
			made(s, "last")
		}
		if rapid.Bool().Draw(t, "foreign") {
			s.addForeign(signal.Fingerprint, "foreign")
		}
		all = s.all()
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"key0", "key3", "also5", "also7", "last", "new", "newer"}), 1, 3, rapid.ID[string]).Draw(t, "keys")
		k := newPastReducer(keys, enough)
		k.maxWhole, k.keepEnded = rapid.IntRange(0, 3).Draw(t, "most"), 3
		for _, o := range rapid.Permutation(all).Draw(t, "order") {
			require.NoError(t, k.add(o))
		}
		asked := past{objects: all, keys: keys, now: s.now}
		want := decide(signal.Fingerprint, asked)
		asked.objects = k.objects()
		got := decide(signal.Fingerprint, asked)
		require.Equal(t, want.action, got.action)
		require.Equal(t, want.reason, got.reason)
		require.Equal(t, want.name, got.name)
		require.Equal(t, want.missing, got.missing)
		require.Equal(t, want.object.name, got.object.name)
		if want.action == count {
			got.object.partial = false
			require.Equal(t, want.object, got.object)
		}
		for _, key := range keys {
			_, was, _ := recorded(all, key)
			_, is, _ := recorded(k.objects(), key)
			require.Equal(t, was, is)
		}
	})
}
