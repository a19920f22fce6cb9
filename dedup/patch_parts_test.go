package dedup

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
)

// counts are keys on record with these counts.
func counts(of map[string]int32) map[string]recordEntry {
	all := map[string]recordEntry{}
	for key, n := range of {
		all[key] = entryAt(n, epoch)
	}
	return all
}

func recordOfMany(n int, more map[string]int32) map[string]recordEntry {
	all := counts(more)
	for i := len(all); i < n; i++ {
		all[fmt.Sprint("many", i)] = entryAt(int32(i+1), epoch)
	}
	return all
}

func TestWhatAPatchHas(t *testing.T) {
	base := func() object {
		o := lone()
		o.events = counts(map[string]int32{"a": 1})
		return o
	}
	for reason, row := range map[string]struct {
		from, to             func(o *object)
		conditions, patches  bool
		deduplication, drops []string
	}{
		"nothing":                      {nil, nil, false, false, nil, nil},
		"a later time alone":           {nil, func(o *object) { o.lastSeen = epoch.Add(time.Hour) }, false, true, []string{"lastSeenAt"}, nil},
		"a count alone":                {nil, func(o *object) { o.count++ }, false, true, []string{"occurrenceCount"}, nil},
		"the first time alone":         {nil, func(o *object) { o.firstSeen = epoch.Add(time.Second) }, false, true, []string{"firstSeenAt"}, nil},
		"a key alone":                  {nil, func(o *object) { o.events = counts(map[string]int32{"b": 1}) }, true, true, nil, nil},
		"an end alone":                 {nil, func(o *object) { o.lastResolved = epoch }, true, true, []string{"lastResolvedAt"}, nil},
		"a record of an older version": {func(o *object) { o.old = true }, func(o *object) { o.old = false }, true, true, []string{"events", "absorbed", "alertStates"}, []string{"events", "absorbed", "alertStates"}},
	} {
		t.Run(reason, func(t *testing.T) {
			o := base()
			if row.from != nil {
				row.from(&o)
			}
			changed := o
			if row.to != nil {
				row.to(&changed)
			}
			patch := patchTo(o, changed)
			require.Equal(t, row.patches, patch != nil)
			if patch == nil {
				return
			}
			status := patch["status"].(map[string]any)
			require.Equal(t, row.conditions, status["conditions"] != nil)
			deduplication, has := status["deduplication"].(map[string]any)
			require.Equal(t, len(row.deduplication) > 0, has)
			var fields []string
			for field := range deduplication {
				fields = append(fields, field)
			}
			require.ElementsMatch(t, row.deduplication, fields)
			for _, field := range row.drops {
				require.Nil(t, deduplication[field])
			}
		})
	}
}

func TestWhatACountChanges(t *testing.T) {
	o := lone()
	o.old = true
	o.firstSeen = time.Time{}
	said := saying("b")
	before := said[0]
	_, changed := o.withKeys([]string{"k"}, said, epoch.Add(1500*time.Millisecond))
	require.Equal(t, before, said[0], "the caller's statements stay")
	require.Equal(t, epoch, changed.firstSeen, "it was made when its first alert came")
	require.Equal(t, epoch.Add(time.Second), changed.others[0].firstSeen)
	require.False(t, changed.old)
	o.firstSeen = epoch.Add(-time.Hour)
	_, changed = o.withKeys([]string{"k"}, nil, epoch)
	require.Equal(t, epoch.Add(-time.Hour), changed.firstSeen)
}

func TestWhatAMergeChanges(t *testing.T) {
	survivor := func(change func(o *object)) object {
		o := lone()
		o.count, o.events = 3, counts(map[string]int32{"a": 1, "k2": 2, "c": 3})
		if change != nil {
			change(&o)
		}
		return o
	}
	duplicate := lone()
	duplicate.uid, duplicate.count, duplicate.events = "d", 3, counts(map[string]int32{"k1": 1, "k2": 3})
	duplicate.lastSeen = epoch.Add(time.Hour)

	t.Run("nothing where all was added before", func(t *testing.T) {
		o := survivor(func(o *object) { o.absorbed = map[string]int32{"d": 3} })
		changed := o.withDuplicate(duplicate, "")
		require.Equal(t, o.events, changed.events, "a key that is gone stays gone")
		require.Equal(t, []any{o.count, o.lastSeen, o.absorbed}, []any{changed.count, changed.lastSeen, changed.absorbed})
	})
	t.Run("nothing where no key and no count is new", func(t *testing.T) {
		same := duplicate
		same.count, same.events = 1, counts(map[string]int32{"a": 1})
		o := survivor(nil)
		changed := o.withDuplicate(same, "")
		require.Equal(t, []any{o.count, o.lastSeen, o.absorbed, o.events}, []any{changed.count, changed.lastSeen, changed.absorbed, changed.events})
	})
	t.Run("a key without a count", func(t *testing.T) {
		o := survivor(func(o *object) { o.absorbed = map[string]int32{"d": 2} })
		changed := o.withDuplicate(duplicate, "")
		require.Equal(t, o.count, changed.count)
		require.Contains(t, changed.events, "k1")
		require.Equal(t, map[string]int32{"d": 3}, changed.absorbed)
	})
	t.Run("a count without a key", func(t *testing.T) {
		keyless := duplicate
		keyless.events = nil
		o := survivor(func(o *object) { o.absorbed = map[string]int32{"d": 2} })
		require.Equal(t, o.count+1, o.withDuplicate(keyless, "").count)
	})
	t.Run("the key that made the duplicate", func(t *testing.T) {
		for reason, row := range map[string]struct {
			ours bool
			own  types.UID
			want int32
		}{
			"of an object of ours, it comes after what was counted": {true, "", 4},
			"of the handler's own, beside a foreign object":         {false, "d", 4},
			"of another handler's, beside a foreign object":         {false, "", 1},
		} {
			o := survivor(func(o *object) { o.ours = row.ours })
			require.Equal(t, row.want, o.withDuplicate(duplicate, row.own).events["k1"].count, reason)
		}
	})
	t.Run("all that the duplicate took over", func(t *testing.T) {
		taker := duplicate
		taker.absorbed = map[string]int32{"x": 1, "y": 2, "z": 3}
		o := survivor(func(o *object) { o.absorbed = map[string]int32{"y": 5, "w": 1} })
		require.Equal(t, map[string]int32{"d": 3, "x": 1, "y": 5, "z": 3, "w": 1}, o.withDuplicate(taker, "").absorbed)
	})
	t.Run("when it was first seen", func(t *testing.T) {
		require.Equal(t, epoch, survivor(func(o *object) { o.firstSeen = time.Time{} }).withDuplicate(duplicate, "").firstSeen)
		sooner := epoch.Add(-time.Hour)
		require.Equal(t, sooner, survivor(func(o *object) { o.firstSeen = sooner }).withDuplicate(duplicate, "").firstSeen)
	})
}

// As long as all keys are there they decide. The counts of these differ on purpose.
func TestHowMuchAMergeGains(t *testing.T) {
	for reason, row := range map[string]struct {
		survivor  map[string]recordEntry
		taken     int32
		duplicate map[string]recordEntry
		count     int32
		fresh     int
		want      int32
	}{
		"all keys are there":                    {counts(map[string]int32{"a": 1}), 1, counts(map[string]int32{"a": 5, "b": 6}), 2, 1, 1},
		"as many keys as are kept":              {recordOfMany(MinKeys-1, map[string]int32{"a": 1}), 1, counts(map[string]int32{"a": 5, "b": 6}), 2, 1, 1},
		"a key more than are kept":              {recordOfMany(MinKeys, map[string]int32{"a": 1}), 1, counts(map[string]int32{"a": 5, "b": 6}), 2, 1, 0},
		"fewer keys than counts":                {nil, 0, nil, 5, 0, 5},
		"fewer keys than counts, some taken":    {nil, 2, nil, 5, 0, 3},
		"both have some":                        {counts(map[string]int32{"a": 1, "b": 2}), 0, counts(map[string]int32{"a": 4, "b": 5}), 5, 0, 3},
		"both have some, taken by a merge":      {counts(map[string]int32{"a": 1, "b": 2}), 4, counts(map[string]int32{"a": 4, "b": 5}), 6, 0, 1},
		"all of it is taken":                    {nil, 3, nil, 3, 0, 0},
		"both have more than was not yet taken": {counts(map[string]int32{"a": 1, "b": 2}), 2, counts(map[string]int32{"a": 4, "b": 5}), 3, 0, 0},
	} {
		o, duplicate := lone(), lone()
		o.events, o.absorbed = row.survivor, map[string]int32{"d": row.taken}
		duplicate.uid, duplicate.events, duplicate.count = "d", row.duplicate, row.count
		require.Equal(t, row.want, gained(o, duplicate, row.fresh), reason)
	}
}

func TestOnlyANewEndChangesAnObject(t *testing.T) {
	o := lone()
	o.old = true
	o.labels = `{"alertname":"A","severity":"high"}`
	end := saying("-a")
	changed, noted := o.withEnds(end)
	require.Equal(t, []bool{true}, noted)
	require.False(t, changed.old)
	changed.old = true
	again, noted := changed.withEnds(end)
	require.Equal(t, []bool{false}, noted)
	require.Equal(t, changed, again)
}

func TestHowManyKeysAreKept(t *testing.T) {
	o := lone()
	require.Len(t, o.kept(recordOfMany(MinKeys+1, nil), 0), MinKeys)
	require.Len(t, o.kept(recordOfMany(MinKeys+2, nil), MinKeys+1), MinKeys+1)
	require.Len(t, o.kept(recordOfMany(maxKeys+5, nil), maxKeys+3), maxKeys)
	o.createdFor = "many0"
	kept := o.kept(recordOfMany(MinKeys+2, nil), 0)
	require.Len(t, kept, MinKeys+1)
	require.Contains(t, kept, "many0")
}

func TestCountsStopAtTheirType(t *testing.T) {
	require.Equal(t, int32(math.MaxInt32), plus(math.MaxInt32-1, 1))
	require.Equal(t, int32(math.MaxInt32), plus(math.MaxInt32-1, 2))
	require.Equal(t, int32(math.MaxInt32-1), plus(math.MaxInt32-2, 1))
}

// A line of the record is a count, a time, and the keys that follow one another.
func TestTheLinesOfARecord(t *testing.T) {
	o := object{createdFor: "b", events: map[string]recordEntry{
		"a": {1, 100}, "b": {2, 100}, "c": {3, 100}, "d": {4, 100}, "f": {6, 100}, "g": {7, 101}, "h": {8, 101},
	}}
	require.Equal(t, []string{"1@100 a", "3@100 c d", "6@100 f", "7@101 g h"}, o.counts())

	o = object{events: recordOfMany(2*keysPerLine+1, nil)}
	lines := o.counts()
	require.Len(t, lines, 3)
	for i, n := range []int{keysPerLine, keysPerLine, 1} {
		require.Equal(t, fmt.Sprintf("%d@%d many%d", i*keysPerLine+1, epoch.Unix(), i*keysPerLine), strings.Join(strings.Fields(lines[i])[:2], " "))
		require.Len(t, strings.Fields(lines[i]), n+1)
	}
	require.Empty(t, object{}.counts())
}
