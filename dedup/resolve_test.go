package dedup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"onefire/mapping"
)

// resolve has alerts end, and says why each one had the outcome that it had.
func resolve(t *testing.T, d *Deduplicator, ends ...string) (reasons []mapping.Reason) {
	t.Helper()
	var signals []mapping.Signal
	for _, end := range ends {
		signals = append(signals, signalOf(end))
	}
	outcomes, err := d.Resolve(t.Context(), signals)
	require.NoError(t, err)
	require.Len(t, outcomes, len(ends))
	for _, o := range outcomes {
		reasons = append(reasons, o.Reason)
	}
	return reasons
}

func TestAnObjectIsResolvedWhenAllOfItsAlertsAre(t *testing.T) {
	const active, partly, nothing = mapping.ResolvedActive, mapping.ResolvedPartly, mapping.ResolvedNothing
	type says struct {
		// event is a key, or ends.
		event string
		want  []mapping.Reason // of ends
		mark  time.Time        // afterwards
	}
	first, second := endedAt("-a"), endedAt("-a2")
	for reason, timeline := range map[string][]says{
		"an alert ends":                         {{event: "a"}, {"-a", []mapping.Reason{active}, first}},
		"and says so again":                     {{event: "a"}, {"-a", []mapping.Reason{active}, first}, {"-a", []mapping.Reason{nothing}, first}},
		"and fires again":                       {{event: "a"}, {"-a", []mapping.Reason{active}, first}, {event: "a2"}, {"-a2", []mapping.Reason{active}, second}},
		"an older end comes late":               {{event: "a2"}, {event: "-a", want: []mapping.Reason{nothing}}},
		"an older repeat comes late":            {{event: "a"}, {"-a", []mapping.Reason{active}, first}, {"x", nil, first}},
		"one of two ends":                       {{event: "a"}, {event: "b"}, {event: "-a", want: []mapping.Reason{partly}}},
		"the other one":                         {{event: "a"}, {event: "b"}, {event: "-b", want: []mapping.Reason{partly}}},
		"both, one by one":                      {{event: "a"}, {event: "b"}, {event: "-b", want: []mapping.Reason{partly}}, {"-a", []mapping.Reason{active}, first}},
		"both at once":                          {{event: "a"}, {event: "b"}, {"-a,-b", []mapping.Reason{active, active}, first}},
		"and one fires again":                   {{event: "a"}, {event: "b"}, {"-a,-b", []mapping.Reason{active, active}, first}, {event: "b2"}},
		"and another one comes":                 {{event: "a"}, {"-a", []mapping.Reason{active}, first}, {event: "c"}},
		"one that nobody counted ends":          {{event: "a"}, {event: "-b", want: []mapping.Reason{nothing}}, {"-a", []mapping.Reason{active}, first}},
		"together with one that counts":         {{event: "a"}, {"-b,-a", []mapping.Reason{nothing, active}, first}},
		"two containers of one name":            {{event: "a"}, {event: "d"}, {event: "-d", want: []mapping.Reason{partly}}, {"-a", []mapping.Reason{active}, first}},
		"the last end is not the last one said": {{event: "a"}, {event: "b"}, {event: "-a2", want: []mapping.Reason{partly}}, {"-b", []mapping.Reason{active}, second}},
	} {
		t.Run(reason, func(t *testing.T) {
			s := newStore()
			d, err := newDeduplicator(s, Options{SignalType: "alert"})
			require.NoError(t, err)
			for _, step := range timeline {
				if isEnd(step.event) {
					require.Equal(t, step.want, resolve(t, d, keysOf(step.event)...), step.event)
				} else {
					made(s, step.event)
				}
				require.Equal(t, step.mark, s.all()[0].lastResolved, step.event)
			}
			require.Len(t, s.all(), 1)
		})
	}
}

func TestWhereMoreAlertsAreCountedThanKnownNothingIsResolved(t *testing.T) {
	const list = `"alerts":[{"alertname":"B","severity":"high","firstSeenAt":"2026-01-17T12:00:00Z"}]`
	own := func(more string) string {
		return `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"onefire"}},"spec":{"signalName":"A","severity":"high","firingTime":"2026-01-17T12:00:00Z",` +
			`"signalLabels":{"alertname":"A","severity":"high"}},"status":{"deduplication":{` + more + `}}}`
	}
	foreign := func(more string) string {
		return `{"spec":{"signalLabels":{"alertname":"A","severity":"high"}},"status":{"deduplication":{` + more + `}}}`
	}
	b := alertOf("b").id
	states := func(end string) string {
		return `"alertStates":{"` + b + `":{"firingSeenAt":"2026-01-17T12:00:00Z"` + end + `}}`
	}
	named := strings.Replace(list, `{"alertname"`, `{"id":"`+b+`","alertname"`, 1)
	over := `,"resolvedSeenAt":"2026-01-17T12:01:00Z","endsAt":"2026-01-17T12:00:10Z"`
	for reason, row := range map[string]struct {
		object string
		end    string
		marked bool
	}{
		"an object of an earlier version":                         {own(`"occurrenceCount":1`), "-a", true},
		"one that counted, and does not know what":                {own(`"occurrenceCount":2`), "-a", false},
		"one that named alerts without their identities":          {own(`"occurrenceCount":2,` + list), "-a", false},
		"its list stays as it was":                                {own(`"occurrenceCount":3,` + list + `,` + states("")), "-a", false},
		"one that says that it counted more":                      {own(`"occurrenceCount":3,"alertsOmitted":true,` + states(over)), "-a", false},
		"one with a state and no name for it":                     {own(`"occurrenceCount":2,` + states("")), "-a", false},
		"the same, and that alert is over":                        {own(`"occurrenceCount":2,` + states(over)), "-a", true},
		"one that knows all":                                      {own(`"occurrenceCount":2,` + named + `,` + states(over)), "-a", true},
		"one that knows all, and another alert fires":             {own(`"occurrenceCount":2,` + named + `,` + states("")), "-a", false},
		"a foreign object, whose own alert we know of by its end": {foreign(`"occurrenceCount":1`), "-a", true},
		"a foreign object that counts only an alert of ours":      {foreign(`"occurrenceCount":2,` + named + `,` + states("")), "-b", true},
		"a foreign object that somebody else counts on":           {foreign(`"occurrenceCount":2`), "-a", false},
	} {
		t.Run(reason, func(t *testing.T) {
			o := read(t, row.object)
			changed, noted := o.withEnds(saying(row.end))
			patch := patchTo(o, changed)
			require.NotNil(t, patch)
			require.Equal(t, []bool{true}, noted)
			require.Equal(t, row.marked, !changed.lastResolved.IsZero())
			require.Equal(t, row.marked, strings.Contains(patchText(t, patch), "lastResolvedAt"))
		})
	}
	// The first alert that fires removes the mark of an earlier version.
	o := read(t, own(`"occurrenceCount":1,"lastResolvedAt":"2026-01-17T12:00:00Z"`))
	_, changed := o.withKeys([]string{"k"}, saying("a2"), epoch)
	require.Contains(t, patchText(t, patchTo(o, changed)), `"lastResolvedAt":null`)
}

// The identity of an object's own alert is in its spec, however long or strange the
// alert's labels are.
func TestAnObjectKnowsItsOwnAlert(t *testing.T) {
	many := map[string]string{"alertname": "Many"}
	for i := range 100 {
		many[fmt.Sprint("label", i)] = strings.Repeat("x", i)
	}
	for name, labels := range map[string]map[string]string{
		"ordinary": {"alertname": "A", "pod": "p", "severity": "page"},
		"long":     {"alertname": "A", "query": strings.Repeat("<\U0001F525>", 5000)},
		"many":     many,
		"strange":  {"alertname": "A\x00\xff", "\u2028": "\u2029\ufffe\"\\", "empty": ""},
	} {
		t.Run(name, func(t *testing.T) {
			signal, err := mapping.Rules{Namespace: "ns"}.Signal(mapping.Alert{Labels: labels, Start: "x"}, epoch)
			require.NoError(t, err)
			s := newStore()
			d, err := newDeduplicator(s, Options{SignalType: "alert"})
			require.NoError(t, err)
			for _, key := range []string{"a", "b"} {
				_, err = d.Settle(t.Context(), signal, []string{key}, nil)
				require.NoError(t, err)
			}
			o := s.all()[0]
			require.Equal(t, signal.AlertID, o.ownAlert().id)
			require.Equal(t, signal.Labels, o.ownAlert().labels)
			require.Empty(t, o.others, "its own alert is no other")
			require.Equal(t, map[string]state{signal.AlertID: {firing: epoch}}, o.states)
		})
	}
}

func TestAnEndOfACachedObjectIsOneCall(t *testing.T) {
	s := newStore()
	counted := &counting{api: s, calls: map[string]int{}}
	d, err := newDeduplicator(counted, Options{SignalType: "alert"})
	require.NoError(t, err)
	made(s, "a", "b")
	s.now = s.now.Add(settledAge + time.Second)
	for _, row := range []struct {
		end   string
		calls map[string]int
	}{
		{"-a", map[string]int{"list": 1, "patch": 1}},
		{"-b", map[string]int{"patch": 1}},
		{"-b", map[string]int{"list": 1}}, // That there is nothing to note is not for memory to decide.
	} {
		clear(counted.calls)
		resolve(t, d, row.end)
		require.Equal(t, row.calls, counted.calls, row.end)
	}
}

// A cache entry that would take much memory is not kept.
func TestAnObjectWithLongTextsIsNotCached(t *testing.T) {
	o := lone()
	require.Less(t, o.textSize(), 100)
	for range MaxAlerts {
		o.others = append(o.others, folded{labels: map[string]string{"pod": strings.Repeat("x", maxDifferingValue)}})
	}
	require.Less(t, o.textSize(), maxCachedText, "a full list with one long label each is remembered")
	for i := range o.others {
		o.others[i].labels["volume"] = strings.Repeat("x", maxDifferingValue)
	}
	require.Greater(t, o.textSize(), maxCachedText)
}

// Deliveries that say of one object's alerts that they have ended share their calls
// as those that fire do.
func TestEndsOfOneFingerprintShareTheirCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const deliveries = 500
		s := newStore()
		made(s, "a", "b")
		counted := &counting{api: s, calls: map[string]int{}}
		d, err := newDeduplicator(counted, Options{SignalType: "alert"})
		require.NoError(t, err)
		told := map[mapping.Reason]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range deliveries {
			all.Go(func() {
				end := signalOf([]string{"-a", "-b", "-c"}[i%3])
				end.SaidAt = end.SaidAt.Add(time.Duration(i) * time.Millisecond) // Events of their own.
				outcomes, err := d.Resolve(t.Context(), []mapping.Signal{end, end})
				require.NoError(t, err)
				require.Len(t, outcomes, 2)
				require.Equal(t, outcomes[0], outcomes[1])
				mu.Lock()
				defer mu.Unlock()
				told[outcomes[0].Reason]++
			})
		}
		all.Wait()
		require.NotZero(t, told[mapping.ResolvedActive])
		require.GreaterOrEqual(t, told[mapping.ResolvedNothing], deliveries/3, "c is counted on no object")
		require.False(t, s.all()[0].lastResolved.IsZero())
		require.LessOrEqual(t, counted.calls["list"], 4)
		require.LessOrEqual(t, counted.calls["patch"], 3)
	})
}

// An end that may not be noted is an error, whichever call failed.
func TestAnEndThatFailsIsAnError(t *testing.T) {
	trouble := apierrors.NewInternalError(errors.New("trouble"))
	for reason, f := range map[string]*faulty{
		"the List":  {store: newStore(), lists: []error{trouble}},
		"the patch": {store: newStore(), patch: trouble},
	} {
		t.Run(reason, func(t *testing.T) {
			made(f.store, "a")
			d, err := newDeduplicator(f, Options{SignalType: "alert"})
			require.NoError(t, err)
			_, err = d.Resolve(t.Context(), []mapping.Signal{signalOf("-a")})
			require.ErrorIs(t, err, trouble)
		})
	}
}

// One List and one patch note an end, and say that there was nothing to note of another. A
// cached object says that of no alert.
func TestHowManyCallsEndsTake(t *testing.T) {
	s := newStore()
	made(s, "a", "b")
	s.now = s.now.Add(settledAge + time.Second)
	counted := &counting{api: s, calls: map[string]int{}}
	d, err := newDeduplicator(counted, Options{SignalType: "alert"})
	require.NoError(t, err)
	for i, end := range []string{"-a", "-b"} {
		clear(counted.calls)
		reasons := resolve(t, d, end, "-c")
		require.Equal(t, mapping.ResolvedNothing, reasons[1])
		require.Equal(t, []int{1, i, 1}, []int{counted.calls["list"], counted.calls["get"], counted.calls["patch"]}, end)
		_, cached := d.cache.lookup(subject{signal.Namespace, signal.Fingerprint})
		require.True(t, cached)
	}
}

// An end is noted on the oldest object first, in whatever order a List has them.
func TestAnEndIsNotedOnTheOldestFirst(t *testing.T) {
	var noted []string
	older, younger := ended("older", 1), ended("younger", 2)
	for _, o := range []*object{&older, &younger} {
		o.phase, o.ours, o.fingerprint = "", false, signal.Fingerprint
		o.labels, o.firing = `{"alertname":"A","severity":"high"}`, epoch
	}
	for _, past := range [][]object{{older, younger}, {younger, older}} {
		noted = nil
		d, err := newDeduplicator(&noting{past: past, noted: &noted}, Options{SignalType: "alert"})
		require.NoError(t, err)
		_, err = d.Resolve(t.Context(), []mapping.Signal{signalOf("-a")})
		require.ErrorContains(t, err, "enough")
		require.Equal(t, []string{"older"}, noted)
	}
}

// noting is an API of one past, that takes no patch.
type noting struct {
	api
	past  []object
	noted *[]string
}

func (n *noting) list(context.Context, string, selector) ([]object, time.Time, error) {
	return slices.Clone(n.past), epoch.Add(time.Hour), nil
}

func (n *noting) patchStatus(_ context.Context, _, name string, _ map[string]any) (string, error) {
	*n.noted = append(*n.noted, name)
	return "", errors.New("enough")
}

// The older of two objects yields to one that a controller has worked on for some time, by
// the API server's clock.
func TestAnEndLeavesTheObjectThatIsWorkedOn(t *testing.T) {
	older, younger := ended("older", 1), ended("younger", 2)
	older.phase, younger.phase = "", "Executing"
	f := &fake{remove: errors.New("enough")}
	older.createdAt, younger.createdAt = epoch.Add(-settledAge-time.Second), epoch.Add(-settledAge)
	f.answers = []fakeList{{[]object{older, younger}, nil}}
	d, err := newDeduplicator(f, Options{SignalType: "alert"})
	require.NoError(t, err)
	_, err = d.Resolve(t.Context(), []mapping.Signal{signalOf("-a")})
	require.ErrorContains(t, err, "enough")
	require.Equal(t, []string{"older"}, f.gone)
}
