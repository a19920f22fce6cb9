package dedup

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

func read(t testing.TB, text string) object {
	t.Helper()
	var w wireObject
	require.NoError(t, decode([]byte(text), &w))
	return w.observe()
}

// FuzzObserve reads whatever a foreign CRD may hold.
func FuzzObserve(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"metadata":{"name":"a","uid":"u","resourceVersion":"7","creationTimestamp":"2026-01-17T12:00:00Z","deletionTimestamp":"2026-01-17T12:00:00Z"}}`,
		`{"metadata":{"labels":{"app.kubernetes.io/managed-by":"onefire"},"annotations":{"onefire/event":"k"}}}`,
		`{"status":{"overallPhase":"Completed","outcome":"ManualReviewRequired","nextAllowedExecution":"2026-01-17T12:00:00Z"}}`,
		`{"status":{"deduplication":{"occurrenceCount":-1,"events":{"a":1,"b":"x","c":1.5},"absorbed":[]}}}`,
		`{"status":7,"spec":[],"metadata":null}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var w wireObject
		if decode([]byte(text), &w) != nil {
			return
		}
		o := w.observe()
		require.GreaterOrEqual(t, o.count, int32(1))
		require.NotNil(t, o.events)
		decide(digest("f"), past{objects: []object{o}, keys: []string{"k"}, now: epoch})
	})
}

func TestQuietIsReadInBothPlacesAndTheLaterTimeCounts(t *testing.T) {
	for reason, row := range map[string]struct {
		status string
		quiet  mapping.Reason
	}{
		"nothing asks for it":         {`{}`, 0},
		"manual review":               {`{"outcome":"ManualReviewRequired"}`, mapping.ManualReview},
		"manual review, upstream's":   {`{"completionStatus":{"outcome":"ManualReviewRequired"}}`, mapping.ManualReview},
		"a time ahead":                {`{"nextAllowedExecution":"2026-01-17T12:00:01Z"}`, mapping.BackOff},
		"a time ahead, upstream's":    {`{"routingStatus":{"nextAllowedExecution":"2026-01-17T12:00:01Z"}}`, mapping.BackOff},
		"the later of two":            {`{"nextAllowedExecution":"2026-01-17T11:00:00Z","routingStatus":{"nextAllowedExecution":"2026-01-17T12:00:01Z"}}`, mapping.BackOff},
		"a time that has come":        {`{"nextAllowedExecution":"2026-01-17T12:00:00Z"}`, 0},
		"what goes asks for no quiet": {`{"outcome":"ManualReviewRequired"},"metadata":{"deletionTimestamp":"2026-01-17T11:00:00Z"}`, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			got, ok := read(t, `{"status":`+row.status+`}`).quiet(epoch)
			require.Equal(t, row.quiet != 0, ok)
			require.Equal(t, row.quiet, got)
		})
	}
}

func TestKeysAreUnambiguous(t *testing.T) {
	require.Len(t, Key("a", "b", "c", "d"), 16)
	require.NotEqual(t, Key("a", "b", "c", "d"), Key("a b", "", "c", "d"))
	require.NotEqual(t, Key(`a" "b`, "", "", ""), Key("a", "b", "", ""))
}

func TestNamesFollowFromThePast(t *testing.T) {
	fingerprint := digest("f")
	first := nameAfter(object{}, fingerprint, epoch, nil)
	require.Regexp(t, `^rr-`+fingerprint[:12]+`-[0-9a-f]{8}$`, first)
	require.NotEqual(t, first, nameAfter(object{}, fingerprint, epoch, map[string]bool{first: true}), "a name that another fingerprint holds is salted")
	require.Equal(t, first, nameAfter(object{}, fingerprint, epoch.Add(nameSpan-time.Nanosecond), nil), "all who look in one span choose one name")
	require.NotEqual(t, first, nameAfter(object{}, fingerprint, epoch.Add(nameSpan), nil), "it does not come again when its object was deleted")
	before := object{uid: "before"}
	after := nameAfter(before, fingerprint, epoch, nil)
	require.NotEqual(t, first, after)
	require.NotEqual(t, after, nameAfter(before, fingerprint, epoch.Add(nameSpan), nil), "nor where only the newest was deleted")

	// Objects that were made one after the other within one second: whatever
	// their names' order, the last one made is found, and the next name is new.
	var chain []object
	for i := range 20 {
		before := last(chain)
		if i > 0 {
			require.Equal(t, chain[i-1].name, before.name, "the last one made, though all are of one age")
		}
		next := nameAfter(before, fingerprint, epoch, nil)
		for _, o := range chain {
			require.NotEqual(t, o.name, next)
		}
		chain = append(chain, object{name: next, uid: types.UID(fmt.Sprint("uid-", i)), follows: before.uid, createdAt: epoch})
	}
}

func TestTheRecordIsBounded(t *testing.T) {
	o := object{count: 1, createdFor: "made", events: map[string]recordEntry{"made": entryAt(1, epoch)}, createdAt: epoch}
	for i := range 3 * MinKeys {
		key := fmt.Sprint("k", i)
		at := epoch.Add(time.Duration(i) * time.Second)
		made, changed := o.withKeys([]string{key}, nil, at)
		require.Equal(t, entryAt(o.count+1, at), made[key])
		o = changed
		require.LessOrEqual(t, len(o.events), MinKeys+1, "the newest, and the one that made it, which stands elsewhere too")
		require.Contains(t, o.events, key, "the newest stays")
	}
}

// In a storm the record follows it, and shrinks again when it is over.
func TestTheRecordFollowsAStorm(t *testing.T) {
	o := object{count: 1, events: map[string]recordEntry{}, createdAt: epoch}
	add := func(prefix string, n int) {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprint(prefix, i)
		}
		_, o = o.withKeys(keys, nil, epoch)
	}
	for i := range 10 {
		add(fmt.Sprint("storm", i), 256)
	}
	require.Len(t, o.events, patchesKept*256)
	for _, patch := range []int{6, 7, 8, 9} {
		require.Contains(t, o.events, fmt.Sprintf("storm%d0", patch))
	}
	for _, want := range []int{896, 784, 686, 600} {
		add(fmt.Sprint("calm", want, len(o.events)), 1)
		require.Len(t, o.events, want)
	}
	add("most", maxBatchKeys)
	add("more", maxBatchKeys)
	require.LessOrEqual(t, len(o.events), maxKeys)
}

// The handler remembers of a patch what the API server made of it.
func TestAPatchChangesAnObjectAsItSays(t *testing.T) {
	s := newStore()
	name := made(s, "a")
	for i := range 2 * MinKeys {
		o := s.seen[name].object
		_, changed := o.withKeys([]string{fmt.Sprint("k", i), fmt.Sprint("l", i)}, nil, epoch.Add(time.Duration(i)*time.Second))
		var err error
		changed.resourceVersion, err = s.patchStatus(t.Context(), "", name, patchTo(o, changed))
		require.NoError(t, err)
		require.Equal(t, s.seen[name].object, changed)
	}
}

// A handler that lost the race for a name counts on an object that is newer than
// its own List.
func TestNothingIsSeenBeforeItsObjectWasMade(t *testing.T) {
	made, changed := lone().withKeys([]string{"k"}, saying("b"), epoch.Add(-time.Second))
	require.Equal(t, epoch, changed.lastSeen)
	require.Equal(t, epoch, changed.others[0].firstSeen)
	require.Equal(t, entryAt(2, epoch), made["k"])
}

func TestCountsSaturate(t *testing.T) {
	o := object{count: 1<<31 - 1, events: map[string]recordEntry{}}
	made, _ := o.withKeys([]string{"a", "b"}, nil, epoch)
	require.Equal(t, map[string]recordEntry{"a": entryAt(1<<31-1, epoch), "b": entryAt(1<<31-1, epoch)}, made)
}

// Names are the same in every version: two versions that run at once must choose one name.
func TestNamesAreThoseOfEveryVersion(t *testing.T) {
	require.Equal(t, "rr-f-b5010f9e", name("f", "u", epoch, 0))
	require.Equal(t, "rr-f-7f6d2076", name("f", "u", epoch, 1))
	require.Equal(t, name("f", "u", epoch, 1), nameAfter(object{uid: "u"}, "f", epoch, map[string]bool{name("f", "u", epoch, 0): true}))
	require.Equal(t, name("f", "u", epoch, 3), nameAfter(object{uid: "u"}, "f", epoch, map[string]bool{
		name("f", "u", epoch, 0): true, name("f", "u", epoch, 1): true, name("f", "u", epoch, 2): true,
	}))
}

func TestALateObjectIsTheYoungerOfItsSecond(t *testing.T) {
	punctual := object{name: name("f", "", epoch, 0), fingerprint: "f", createdAt: epoch}
	late := object{name: name("f", "", epoch.Add(-nameSpan), 0), fingerprint: "f", createdAt: epoch}
	require.Positive(t, byAge(late, punctual))
	require.Negative(t, byAge(punctual, late))
	require.Zero(t, byAge(late, late))
}

func TestALaterRevision(t *testing.T) {
	for reason, row := range map[string]struct {
		a, b string
		want bool
	}{
		"older": {"9", "10", true}, "the same": {"9", "9", false}, "newer": {"10", "9", false},
		"no number": {"x", "9", false}, "no number beside one": {"9", "x", false}, "too large a number": {"9", "99999999999999999999999", false},
	} {
		require.Equal(t, row.want, olderRevision(row.a, row.b), reason)
	}
}
