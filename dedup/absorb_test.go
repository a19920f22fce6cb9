package dedup

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// An alert of a list that an earlier version wrote has no id, and so no state and no
// labels of its own.
func TestAnAlertWithoutAnIDIsNamedAndHasNoState(t *testing.T) {
	duplicate := lone()
	old := folded{alert: alert{name: "B", severity: mapping.High}, firstSeen: epoch}
	duplicate.others = []folded{old}
	f := lone().absorb(duplicate)
	require.Contains(t, f.others, old)
	require.NotContains(t, f.states, "")
}

func TestTheOwnAlertFiresSinceItsObjectSaysSo(t *testing.T) {
	o := lone()
	own := o.ownAlert()
	f := o.fold(own, statement{folded{alert: own.alert}, state{ended: epoch.Add(-time.Hour)}})
	require.Equal(t, epoch, f.states[own.id].firing)
}

// An alert that is on the list already leaves the list as it is, also where somebody else
// has ordered it.
func TestAKnownAlertLeavesTheListAsItIs(t *testing.T) {
	low, high := folded{alert{"b", "B", mapping.Low}, nil, epoch}, folded{alert{"c", "C", mapping.High}, nil, epoch}
	f := folds{others: []folded{low, high}}
	f.add(low)
	require.Equal(t, []folded{low, high}, f.others)
	f.add(folded{low.alert, nil, epoch.Add(-time.Second)})
	require.Equal(t, []string{"c", "b"}, []string{f.others[0].id, f.others[1].id}, "it is ordered where it changes")
}

func TestAFullListOmitsNothing(t *testing.T) {
	var f folds
	for i := range MaxAlerts {
		f.add(folded{alert: alert{id: fmt.Sprint(i)}})
	}
	require.False(t, f.omitted)
	f.add(folded{alert: alert{id: "more"}})
	require.True(t, f.omitted)
	require.Len(t, f.others, MaxAlerts)
}

func TestWhatAMergeOmits(t *testing.T) {
	for reason, row := range map[string]struct {
		change func(o, duplicate *object)
		want   bool
	}{
		"nothing":                                   {func(_, _ *object) {}, false},
		"alerts that the object omits":              {func(o, _ *object) { o.omitted = true }, true},
		"alerts that the duplicate omits":           {func(_, d *object) { d.omitted = true }, true},
		"alerts that the duplicate does not name":   {func(_, d *object) { d.count = 2 }, true},
		"alerts that the object itself cannot name": {func(o, _ *object) { o.count = 2 }, true},
	} {
		o, duplicate := lone(), lone()
		row.change(&o, &duplicate)
		require.Equal(t, row.want, o.absorb(duplicate).omitted, reason)
	}
}

func TestAMergeKeepsSinceWhenTheDuplicatesAlertFires(t *testing.T) {
	duplicate := lone()
	duplicate.alert.name, duplicate.labels, duplicate.firing = "B", `{"alertname":"B","severity":"high"}`, epoch.Add(time.Minute)
	require.Equal(t, epoch.Add(time.Minute), lone().absorb(duplicate).states[duplicate.ownAlert().id].firing)
}

func TestLabelsAreOverlaidOnNone(t *testing.T) {
	require.Equal(t, map[string]string{"a": "b"}, overlaid(nil, map[string]string{"a": "b", "c": ""}))
}

func TestATextIsCutBetweenItsCharacters(t *testing.T) {
	require.Equal(t, "abcd", shortened("abcd", 4))
	require.Equal(t, "a…", shortened("abcde", 4))
	for n := 4; n < 8; n++ {
		require.Equal(t, "…", shortened("🔥🔥🔥", n-1), n)
	}
	require.Equal(t, "🔥…", shortened("🔥🔥🔥", 7))
}

func TestWhatAPatchShows(t *testing.T) {
	known := folded{alert{"b", "B", mapping.Low}, nil, epoch}
	worse, sooner := known, known
	worse.severity, sooner.firstSeen = mapping.High, epoch.Add(-time.Second)
	for reason, row := range map[string]struct {
		stale      bool
		had, shown folds
		want       []string
	}{
		"nothing new":                       {false, folds{others: []folded{known}, omitted: true, lastResolved: epoch}, folds{others: []folded{known}, omitted: true, lastResolved: epoch}, nil},
		"a worse severity":                  {false, folds{others: []folded{known}}, folds{others: []folded{worse}}, []string{"alerts"}},
		"an earlier time":                   {false, folds{others: []folded{known}}, folds{others: []folded{sooner}}, []string{"alerts"}},
		"alerts are omitted from now on":    {false, folds{}, folds{omitted: true}, []string{"alertsOmitted"}},
		"it ended":                          {false, folds{}, folds{lastResolved: epoch}, []string{"lastResolvedAt"}},
		"all of it, where the shown is old": {true, folds{omitted: true, lastResolved: epoch}, folds{omitted: true, lastResolved: epoch}, []string{"alerts", "alertsOmitted", "lastResolvedAt"}},
	} {
		t.Run(reason, func(t *testing.T) {
			o, shows := lone(), map[string]any{}
			o.folds, o.displayStale = row.had, row.stale
			row.shown.show(o, shows)
			var names []string
			for name := range shows {
				names = append(names, name)
			}
			require.ElementsMatch(t, row.want, names)
		})
	}
}
