package dedup

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onefire/mapping"
)

func patchText(t *testing.T, patch map[string]any) string {
	t.Helper()
	text, err := json.Marshal(patch)
	require.NoError(t, err)
	return string(text)
}

// lone is an object that the alert of key a made.
func lone() object {
	return object{resourceVersion: "7", count: 1, ours: true, events: map[string]recordEntry{}, absorbed: map[string]int32{}, firstSeen: epoch, createdAt: epoch, firing: epoch,
		alert: alert{name: "A", severity: mapping.High}, labels: `{"alertname":"A","severity":"high"}`}
}

func saying(keys ...string) (said []statement) {
	for _, key := range keys {
		said = append(said, statementOf(signalOf(key)))
	}
	return said
}

func TestAPatchNamesTheAlertsThatDifferFromTheObject(t *testing.T) {
	a, b, c, d := alertOf("a").id, alertOf("b").id, alertOf("c").id, alertOf("d").id
	named := func(id, alertname, severity, labels string) string {
		return `{"alertname":"` + alertname + `","firstSeenAt":"2026-01-17T12:00:00Z","id":"` + id + `",` + labels + `"severity":"` + severity + `"}`
	}
	fires := func(id string) string { return "state " + id + ` {"firingSeenAt":"2026-01-17T12:00:00Z"}` }
	theirs := named(b, "B", "high", "")
	critical, contained := named(c, "A", "critical", ""), named(d, "A", "high", `"labels":{"container":"d"},`)
	had := folds{others: []folded{{alertOf("b"), nil, epoch}}, states: map[string]state{b: {firing: epoch}}}
	for reason, row := range map[string]struct {
		folds
		key    string
		shown  string
		record []string // but for the keys
	}{
		"its own says only that it fires":   {folds{}, "a", "", []string{fires(a)}},
		"one that is on the list is known":  {had, "b", "", []string{"alert " + theirs, fires(b)}},
		"another name":                      {folds{}, "b", `"alerts":[` + theirs + `],`, []string{"alert " + theirs, fires(b)}},
		"another severity, and it is worse": {had, "c", `"alerts":[` + critical + `,` + theirs + `],`, []string{"alert " + critical, "alert " + theirs, fires(b), fires(c)}},
		"another container":                 {had, "d", `"alerts":[` + contained + `,` + theirs + `],`, []string{"alert " + contained, "alert " + theirs, fires(b), fires(d)}},
		"one that was said to fire later on": {had, "b2", "",
			[]string{"alert " + theirs, "state " + b + ` {"firingSeenAt":"2026-01-17T12:02:00Z"}`}},
	} {
		t.Run(reason, func(t *testing.T) {
			o := lone()
			o.folds, o.foreign = row.folds, []rawText{`{"type":"Ready"}`}
			_, changed := o.withKeys([]string{"k0"}, saying(row.key), epoch)
			slices.SortFunc(row.record, func(a, b string) int { // States stand in the order of their ids.
				if strings.HasPrefix(a, "state") && strings.HasPrefix(b, "state") {
					return strings.Compare(a, b)
				}
				return 0
			})
			message, err := json.Marshal(strings.Join(append([]string{"2@1768651200 k0"}, row.record...), "\n"))
			require.NoError(t, err)
			require.Equal(t, `{"metadata":{"resourceVersion":"7"},"status":{"conditions":[{"type":"Ready"},{"type":"onefire/Record","status":"True","reason":"Counted",`+
				`"message":`+string(message)+`,"lastTransitionTime":"2026-01-17T12:00:00Z"}],`+
				`"deduplication":{`+row.shown+`"lastSeenAt":"2026-01-17T12:00:00Z","occurrenceCount":2}}}`, patchText(t, patchTo(o, changed)))
			_, again := changed.withKeys([]string{"k1"}, saying(row.key), epoch.Add(time.Hour))
			require.NotContains(t, patchText(t, patchTo(changed, again)), `"alerts"`, "what is named once is not written again")
		})
	}
}

// A List after a patch shows what the handler remembers of it, also at the bound.
func TestThePatchedAlertsAreThoseThatAreRead(t *testing.T) {
	s := newStore()
	name := made(s, "a")
	for i := range 2 * MaxAlerts {
		said := saying(fmt.Sprint("crowd", i))
		said[0].severity = []mapping.Severity{mapping.Low, mapping.High, mapping.Unknown, mapping.Critical}[i%4]
		said[0].firing = epoch.Add(time.Duration(i) * 1234567 * time.Microsecond)
		o := s.seen[name].object
		_, changed := o.withKeys([]string{fmt.Sprint("k", i)}, said, epoch.Add(time.Duration(i)*1500*time.Millisecond))
		_, err := s.patchStatus(t.Context(), "", name, patchTo(o, changed))
		require.NoError(t, err)
		require.Equal(t, s.seen[name].folds, changed.folds)
	}
	o := s.seen[name].object
	require.Len(t, o.others, MaxAlerts)
	require.True(t, o.omitted)
	require.Equal(t, mapping.High, o.others[MaxAlerts-1].severity, "the worst stay, here all that are critical or high")
	require.Len(t, o.states, MaxAlerts, "the state of an alert goes with its name")
}

// drawn statements are of few alerts, times and severities, so that they meet.
func drawnStatement(t *rapid.T) statement {
	s := statementOf(signalOf("a"))
	s.id = fmt.Sprint("id", rapid.IntRange(0, MaxAlerts+2).Draw(t, "id"))
	s.name, s.severity = "alert "+s.id, rapid.SampledFrom([]mapping.Severity{mapping.Critical, mapping.Low, "page"}).Draw(t, "severity")
	s.firstSeen = epoch.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "seen")) * time.Second)
	s.firing = epoch.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "firing")) * time.Second)
	if rapid.Bool().Draw(t, "ended") {
		s.ended = epoch.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "end")) * time.Second)
		s.resolved = s.ended.Add(time.Second)
	}
	return s
}

func TestFoldingIsTheSameInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(drawnStatement), 0, 3*MaxAlerts).Draw(t, "alerts")
		o := lone()
		own := o.ownAlert()
		own.id = "id0"
		with := func(f folds) object {
			o := lone()
			o.folds = f
			return o
		}
		kinds := map[string]bool{}
		for _, a := range all {
			kinds[a.id] = true
		}
		delete(kinds, own.id)
		once := with(o.fold(own, all...))
		require.Len(t, once.others, min(len(kinds), MaxAlerts))
		require.Equal(t, len(kinds) > MaxAlerts, once.omitted)
		require.Equal(t, once.folds, once.fold(own, all...), "again")

		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		require.Equal(t, once.folds, o.fold(own, all...), "in another order")
		half := rapid.IntRange(0, len(all)).Draw(t, "half")
		left, right := with(o.fold(own, all[:half]...)), with(o.fold(own, all[half:]...))
		left.omitted = left.omitted || right.omitted
		merged := right.counted()[1:]
		if s, said := right.states[own.id]; said {
			merged = append(merged, statement{folded{alert: own.alert}, s})
		}
		require.Equal(t, once.folds, left.fold(own, merged...), "as duplicates that are merged")
	})
}

func TestAMergeNamesTheDuplicatesAlerts(t *testing.T) {
	survivor, duplicate := lone(), lone()
	survivor.uid, duplicate.uid, duplicate.createdAt = "s", "t", epoch.Add(time.Second)
	survivor.count, survivor.folds = 2, folds{
		others: []folded{{alertOf("d"), map[string]string{"container": "d"}, epoch.Add(time.Hour)}},
		states: map[string]state{alertOf("d").id: {firing: epoch}},
	}
	duplicate.alert, duplicate.labels = alert{name: "B", severity: mapping.Critical}, `{"alertname":"B","severity":"critical","volume":"v"}`
	duplicate.events, duplicate.count = map[string]recordEntry{"b": {count: 1}, "c": {count: 2}, "a": {count: 3}, "x": {count: 4}}, 4
	own := duplicate.ownAlert()
	duplicate.folds = folds{
		others: []folded{
			{alertOf("a"), map[string]string{"volume": ""}, epoch},
			{alertOf("d"), map[string]string{"volume": "", "container": "d"}, epoch.Add(time.Minute)},
			// It has the duplicate's volume.
			{alertOf(nextEvent), map[string]string{"container": "e"}, epoch},
		},
		states:  map[string]state{alertOf("a").id: {firing: epoch.Add(time.Hour)}, own.id: {firing: epoch, resolved: epoch.Add(time.Minute), ended: epoch}},
		omitted: true,
	}
	merged := survivor.withDuplicate(duplicate, "")
	deduplication := patchTo(survivor, merged)["status"].(map[string]any)["deduplication"].(map[string]any)
	require.Equal(t, []any{
		map[string]any{"id": own.id, "alertname": "B", "severity": "critical", "labels": map[string]any{"volume": "v"}, "firstSeenAt": "2026-01-17T12:00:01Z"},
		map[string]any{"id": alertOf("d").id, "alertname": "A", "severity": "high", "labels": map[string]any{"container": "d"}, "firstSeenAt": "2026-01-17T12:01:00Z"},
		map[string]any{"id": alertOf(nextEvent).id, "alertname": "B", "severity": "unknown", "labels": map[string]any{"container": "e", "volume": "v"}, "firstSeenAt": "2026-01-17T12:00:00Z"},
	}, deduplication["alerts"])
	require.Equal(t, true, deduplication["alertsOmitted"])
	require.Equal(t, map[string]state{
		alertOf("a").id: {firing: epoch.Add(time.Hour)}, alertOf("d").id: {firing: epoch}, alertOf(nextEvent).id: {},
		own.id: {firing: epoch, resolved: epoch.Add(time.Minute), ended: epoch},
	}, merged.states)

	alike, same := lone(), lone()
	same.uid, same.events = "t", map[string]recordEntry{"b": {count: 1}}
	require.NotContains(t, patchText(t, patchTo(alike, alike.withDuplicate(same, ""))), `"alerts"`)
}

func TestAForeignListOfAlertsIsReadAsFarAsItMakesSense(t *testing.T) {
	o := read(t, `{"spec":{"signalName":"A","severity":"high"},"status":{"deduplication":{"alerts":[
		{"alertname":"B","severity":"low"},{"alertname":"A","severity":"high"},{"alertname":"C","severity":"critical","firstSeenAt":"2026-01-17T12:00:00Z"},
		{"alertname":"B","severity":"low","firstSeenAt":"x"}]}}}`)
	require.Equal(t, []folded{{alert{"", "C", mapping.Critical}, nil, epoch}, {alert{"", "B", mapping.Low}, nil, time.Time{}}}, o.others)
	_, changed := o.withKeys([]string{"k"}, saying("d"), epoch)
	require.Contains(t, patchText(t, patchTo(o, changed)), `{"alertname":"B","severity":"low"}]`, "no time and no identity is made up")
	for _, odd := range []string{`7`, `{}`, `["x"]`, `[{"alertname":7}]`, `[{"id":7,"labels":["x"]}]`} {
		require.NotPanics(t, func() {
			o := read(t, `{"spec":{"signalLabels":`+odd+`},"status":{"deduplication":{"alerts":`+odd+`,"alertsOmitted":"x","alertStates":`+odd+`}}}`)
			o.withKeys([]string{"k"}, saying("d"), epoch)
		})
	}
}

// An object names as much of a difference as is useful, and no more.
func TestTheLabelsInWhichAlertsDifferAreBounded(t *testing.T) {
	own := map[string]string{"alertname": "A", "severity": "high", "pod": "p", "container": "c"}
	require.Nil(t, differences(own, map[string]string{"alertname": "B", "severity": "low", "pod": "p", "container": "c"}))
	require.Equal(t, map[string]string{"container": "", "mountpoint": "/var"}, differences(own, map[string]string{"alertname": "A", "pod": "p", "mountpoint": "/var"}))
	many := map[string]string{}
	for i := range 2 * maxDifferences {
		many[fmt.Sprintf("l%02d%s", i, strings.Repeat("é", maxDifferingName))] = strings.Repeat("\U0001F525", maxDifferingValue)
	}
	differ := differences(nil, many)
	require.Len(t, differ, maxDifferences)
	for name, value := range differ {
		require.True(t, utf8.ValidString(name) && utf8.ValidString(value))
		require.LessOrEqual(t, len(name), maxDifferingName)
		require.LessOrEqual(t, len(value), maxDifferingValue)
		require.Greater(t, len(value), maxDifferingValue-8)
	}
	require.Equal(t, own, overlaid(own, nil))
	require.Equal(t, map[string]string{"pod": "p", "container": "d"}, overlaid(map[string]string{"pod": "p", "volume": "v"}, map[string]string{"volume": "", "container": "d"}))
}

// Deliveries that share a patch have all of their alerts named by it, those of
// one delivery and those of others.
func TestAlertsThatAreSettledTogetherAreAllNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		slow := &counting{api: s, calls: map[string]int{}}
		d, err := newDeduplicator(slow, Options{SignalType: "alert"})
		require.NoError(t, err)
		var all sync.WaitGroup
		for _, keys := range [][]string{{"a"}, {"d", "b"}, {"c"}, {nextEvent}} {
			all.Go(func() {
				_, err := d.Settle(t.Context(), signalOf(keys[0]), keys, signalsOf(keys))
				require.NoError(t, err)
			})
			synctest.Wait()
		}
		all.Wait()
		synctest.Wait()
		require.Len(t, s.objects, 1)
		o := s.all()[0]
		require.Equal(t, alertOf("a"), o.ownAlert().alert)
		require.Equal(t, []folded{
			{alertOf("c"), nil, epoch}, {alertOf("d"), map[string]string{"container": "d"}, epoch}, {alertOf("b"), nil, epoch}, {alertOf(nextEvent), nil, epoch},
		}, o.others)
		require.Equal(t, 1, slow.calls["patch"], "one patch for all who waited")
	})
}

// A cache entry holds the alerts of the active object alone: nothing is decided on those
// of the ended ones, of which there can be hundreds.
func TestACacheEntryHasTheAlertsOfTheActiveObjectOnly(t *testing.T) {
	s := newStore()
	ended := made(s, "a", "b")
	s.complete(ended)
	active := made(s, "x", "c")
	s.now = s.now.Add(settledAge + time.Second)
	d, err := newDeduplicator(s, Options{SignalType: "alert"})
	require.NoError(t, err)
	_, err = d.Settle(t.Context(), signalOf(nextEvent), []string{nextEvent}, nil)
	require.NoError(t, err)
	m, ok := d.cache.lookup(subject{signal.Namespace, signal.Fingerprint})
	require.True(t, ok)
	require.Len(t, m.objects, 2)
	for _, o := range m.objects {
		want := s.seen[o.name].folds
		require.NotEmpty(t, want.others)
		if o.name != active {
			want = folds{}
			require.Empty(t, o.labels)
		}
		require.Equal(t, want, o.folds, o.name)
	}
}
