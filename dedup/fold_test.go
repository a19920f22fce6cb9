package dedup

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"onefire/mapping"
)

func patchText(t *testing.T, patch map[string]any) string {
	t.Helper()
	text, err := json.Marshal(patch)
	require.NoError(t, err)
	return string(text)
}

func TestAPatchNamesTheAlertsThatDifferFromTheObject(t *testing.T) {
	const (
		before = `{"metadata":{"resourceVersion":"7"},"status":{"deduplication":{`
		after  = `"events":{"k0":2},"lastSeenAt":"2026-01-17T12:00:00Z","occurrenceCount":2}}}`
		b      = `{"alertname":"B","firstSeenAt":"2026-01-17T12:00:00Z","severity":"high"}`
	)
	had := []folded{{alert{"B", mapping.High}, epoch}}
	for reason, row := range map[string]struct {
		others []folded
		alerts []alert
		want   string
	}{
		"its own says nothing new":          {nil, []alert{{"A", mapping.High}}, before + after},
		"nor does one that is on the list":  {had, []alert{{"B", mapping.High}}, before + after},
		"another name":                      {nil, []alert{{"B", mapping.High}}, before + `"alerts":[` + b + `],` + after},
		"another severity, and it is worse": {had, []alert{{"A", mapping.Critical}}, before + `"alerts":[{"alertname":"A","firstSeenAt":"2026-01-17T12:00:00Z","severity":"critical"},` + b + `],` + after},
	} {
		t.Run(reason, func(t *testing.T) {
			o := object{resourceVersion: "7", count: 1, events: map[string]int32{}, firstSeen: epoch, alert: alert{"A", mapping.High}, folds: folds{others: row.others}}
			patch, _, changed := countPatch(o, []string{"k0"}, row.alerts, epoch)
			require.Equal(t, row.want, patchText(t, patch))
			again, _, _ := countPatch(changed, []string{"k1"}, row.alerts, epoch.Add(time.Hour))
			require.NotContains(t, patchText(t, again), "alerts", "what is named once is not written again")
		})
	}
}

// What is read back is what was remembered of the patch, also at the bound.
func TestThePatchedAlertsAreThoseThatAreRead(t *testing.T) {
	s := newStore()
	name := made(s, "a")
	for i := range 2 * MaxAlerts {
		severity := []mapping.Severity{mapping.Low, mapping.High, mapping.Unknown, mapping.Critical}[i%4]
		patch, _, changed := countPatch(s.seen[name].object, []string{fmt.Sprint("k", i)}, []alert{{fmt.Sprint("alert", i), severity}}, epoch.Add(time.Duration(i)*1500*time.Millisecond))
		_, err := s.patchStatus(t.Context(), "", name, patch)
		require.NoError(t, err)
		require.Equal(t, s.seen[name].folds, changed.folds)
	}
	o := s.seen[name].object
	require.Len(t, o.others, MaxAlerts)
	require.True(t, o.omitted)
	require.Equal(t, mapping.High, o.others[MaxAlerts-1].severity, "the worst stay, here all that are critical or high")
}

func TestFoldingIsTheSameInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) folded {
			return folded{
				alert{fmt.Sprint(rapid.IntRange(0, MaxAlerts).Draw(t, "name")), rapid.SampledFrom([]mapping.Severity{mapping.Critical, mapping.Low, "page"}).Draw(t, "severity")},
				epoch.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "seen")) * time.Second),
			}
		}), 0, 3*MaxAlerts).Draw(t, "alerts")
		o := object{alert: alert{"0", mapping.Low}, createdAt: epoch}
		kinds := map[alert]bool{}
		for _, a := range all {
			kinds[a.alert] = true
		}
		delete(kinds, o.alert)
		once := object{alert: o.alert, folds: o.fold(all...)}
		require.Len(t, once.others, min(len(kinds), MaxAlerts))
		require.Equal(t, len(kinds) > MaxAlerts, once.omitted)
		require.Equal(t, once.folds, once.fold(all...), "again")

		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		require.Equal(t, once.folds, o.fold(all...), "in another order")
		half := rapid.IntRange(0, len(all)).Draw(t, "half")
		left, right := object{alert: o.alert, folds: o.fold(all[:half]...)}, object{alert: o.alert, folds: o.fold(all[half:]...)}
		both := left.fold(right.others...)
		both.omitted = both.omitted || right.omitted
		require.Equal(t, once.folds, both, "as twins that are merged")
	})
}

func TestAMergeNamesTheTwinsAlerts(t *testing.T) {
	survivor := object{uid: "s", count: 1, events: map[string]int32{}, createdAt: epoch, alert: alert{"A", mapping.High}, folds: folds{others: []folded{{alert{"C", mapping.Low}, epoch.Add(time.Hour)}}}}
	twin := object{
		uid: "t", count: 4, createdAt: epoch.Add(time.Second), alert: alert{"B", mapping.Critical},
		events: map[string]int32{"b": 1, "c": 2, "a": 3, "x": 4},
		folds:  folds{others: []folded{{alert{"A", mapping.High}, epoch}, {alert{"C", mapping.Low}, epoch.Add(time.Minute)}}, omitted: true},
	}
	patch := mergePatch(survivor, twin, "")
	deduplication := patch["status"].(map[string]any)["deduplication"].(map[string]any)
	require.Equal(t, []any{
		map[string]any{"alertname": "B", "severity": "critical", "firstSeenAt": "2026-01-17T12:00:01Z"},
		map[string]any{"alertname": "C", "severity": "low", "firstSeenAt": "2026-01-17T12:01:00Z"},
	}, deduplication["alerts"])
	require.Equal(t, true, deduplication["alertsOmitted"])

	alike := mergePatch(object{alert: twin.alert, events: map[string]int32{}}, object{uid: types.UID("t"), count: 1, alert: twin.alert, events: map[string]int32{"b": 1}}, "")
	require.NotContains(t, patchText(t, alike), "alerts")
}

func TestAForeignListOfAlertsIsReadAsFarAsItMakesSense(t *testing.T) {
	o := read(t, `{"spec":{"signalName":"A","severity":"high"},"status":{"deduplication":{"alerts":[
		{"alertname":"B","severity":"low"},{"alertname":"A","severity":"high"},{"alertname":"C","severity":"critical","firstSeenAt":"2026-01-17T12:00:00Z"},
		{"alertname":"B","severity":"low","firstSeenAt":"x"}]}}}`)
	require.Equal(t, folds{others: []folded{{alert{"C", mapping.Critical}, epoch}, {alert{"B", mapping.Low}, time.Time{}}}}, o.folds)
	patch, _, _ := countPatch(o, []string{"k"}, []alert{{"D", mapping.Low}}, epoch)
	require.Contains(t, patchText(t, patch), `{"alertname":"B","severity":"low"},{"alertname":"D"`, "no time is made up")
	for _, odd := range []string{`7`, `{}`, `["x"]`, `[{"alertname":7}]`} {
		require.NotPanics(t, func() { read(t, `{"status":{"deduplication":{"alerts":`+odd+`,"alertsOmitted":"x"}}}`) })
	}
}

// Deliveries that share a patch have all of their alerts named by it, those of
// one delivery and those of others.
func TestAlertsThatAreSettledTogetherAreAllNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		slow := &counting{api: s, calls: map[string]int{}}
		d, err := newDeduplicator(slow, "alert")
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
		require.Equal(t, alertOf("a"), o.alert)
		require.Equal(t, []folded{{alertOf("c"), epoch}, {alertOf("b"), epoch}, {alertOf(nextEvent), epoch}}, o.others)
		require.Equal(t, 1, slow.calls["patch"], "one patch for all who waited")
	})
}

// A memo holds the alerts of the active object alone: nothing is decided on those
// of the ended ones, of which there can be hundreds.
func TestAMemoHasTheAlertsOfTheActiveObjectOnly(t *testing.T) {
	s := newStore()
	ended := made(s, "a", "b")
	s.complete(ended)
	active := made(s, "x", "c")
	s.now = s.now.Add(settledAge + time.Second)
	d, err := newDeduplicator(s, "alert")
	require.NoError(t, err)
	_, err = d.Settle(t.Context(), signalOf(nextEvent), []string{nextEvent}, nil)
	require.NoError(t, err)
	m, ok := d.memory.recall(subject{signal.Namespace, signal.Fingerprint})
	require.True(t, ok)
	require.Len(t, m.objects, 2)
	for _, o := range m.objects {
		want := s.seen[o.name].folds
		require.NotEmpty(t, want.others)
		if o.name != active {
			want = folds{}
		}
		require.Equal(t, want, o.folds, o.name)
	}
}
