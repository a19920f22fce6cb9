package dedup

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

func TestAForecastIsWhatSettleOrResolveWouldSay(t *testing.T) {
	fingerprint := signal.Fingerprint
	made := func(name, phase string, count int32, ours bool) object {
		return object{name: name, uid: types.UID(name), phase: phase, count: count, ours: ours, fingerprint: fingerprint, createdAt: epoch,
			labels: `{"alertname":"A","severity":"high"}`, firing: epoch, folds: folds{states: map[string]state{signal.AlertID: {firing: epoch}}}}
	}
	both := made("rr-2", "", 2, true)
	both.others = []folded{{alert: alertOf("b")}}
	other := made("rr-2", "", 1, true)
	other.labels = `{"alertname":"A"}`
	done := made("rr-1", "Completed", 4, true)
	review := done
	review.manualReview = true
	waits, waited := done, done
	waits.nextAllowed, waited.nextAllowed = epoch.Add(time.Second), epoch
	duplicate := made("rr-3", "", 2, true)
	duplicate.createdAt = epoch.Add(time.Second)
	for past, row := range map[string]struct {
		objects          []object
		firing, resolved Outcome
	}{
		"nothing":    {nil, Outcome{Reason: mapping.FirstSeen, Name: "rr-" + fingerprint[:12] + "-…", Count: 1}, Outcome{Reason: mapping.ResolvedNothing}},
		"an end":     {[]object{done}, Outcome{Reason: mapping.Recurred, Name: "rr-" + fingerprint[:12] + "-…", Count: 1}, Outcome{Reason: mapping.ResolvedNothing}},
		"a review":   {[]object{review}, Outcome{Reason: mapping.ManualReview, Name: "rr-1", Count: 5}, Outcome{Reason: mapping.ResolvedNothing}},
		"a wait":     {[]object{waits}, Outcome{Reason: mapping.BackOff, Name: "rr-1", Count: 5}, Outcome{Reason: mapping.ResolvedNothing}},
		"waited":     {[]object{waited}, Outcome{Reason: mapping.Recurred, Name: "rr-" + fingerprint[:12] + "-…", Count: 1}, Outcome{Reason: mapping.ResolvedNothing}},
		"active":     {[]object{done, made("rr-2", "Analyzing", 7, true)}, Outcome{Reason: mapping.Active, Name: "rr-2", Count: 8}, Outcome{Reason: mapping.ResolvedActive, Name: "rr-2", Count: 7}},
		"a foreign":  {[]object{made("x", "", 1, false)}, Outcome{Reason: mapping.ActiveForeign, Name: "x", Count: 2}, Outcome{Reason: mapping.ResolvedActive, Name: "x", Count: 1}},
		"of two":     {[]object{both}, Outcome{Reason: mapping.Active, Name: "rr-2", Count: 3}, Outcome{Reason: mapping.ResolvedPartly, Name: "rr-2", Count: 2}},
		"another's":  {[]object{other}, Outcome{Reason: mapping.Active, Name: "rr-2", Count: 2}, Outcome{Reason: mapping.ResolvedNothing, Name: "rr-2", Count: 1}},
		"duplicates": {[]object{duplicate, made("rr-2", "", 7, true)}, Outcome{Reason: mapping.Active, Name: "rr-2", Count: 8}, Outcome{Reason: mapping.ResolvedActive, Name: "rr-2", Count: 7}},
	} {
		t.Run(past, func(t *testing.T) {
			require.Equal(t, row.firing, forecast(signal, row.objects, epoch, false))
			require.Equal(t, row.resolved, forecast(signalOf("-a"), row.objects, epoch, true))
		})
	}
	require.Equal(t, forecast(signal, nil, epoch, false), FirstForecast(signal, false))
}

// A forecast of an end is that of the end, also if the event of the same key was counted.
func TestAForecastAboutAKeyThatIsOnRecord(t *testing.T) {
	s := newStore()
	name := made(s, "a")
	var asked []selector
	d, err := newDeduplicator(&asking{s, &asked}, Options{SignalType: "alert"})
	require.NoError(t, err)
	for resolved, want := range map[bool]Outcome{
		false: {Reason: replayReason(1), Name: name, UID: s.seen[name].uid, Count: 1, At: epoch},
		true:  {Reason: mapping.ResolvedActive, Name: name, Count: 1},
	} {
		about := signalOf("a")
		if resolved {
			about = signalOf("-a")
		}
		o, err := d.Forecast(t.Context(), about, "a", resolved)
		require.NoError(t, err)
		require.Equal(t, want.Reason, o.Reason)
		require.Equal(t, want.Name, o.Name)
	}
	for _, by := range asked {
		require.Equal(t, []string{"a"}, by.keys, "a long past must have the key")
	}
	require.Len(t, asked, 2)
}

// asking is a store that keeps what Lists ask for.
type asking struct {
	*store
	asked *[]selector
}

func (a *asking) list(ctx context.Context, ns string, by selector) ([]object, time.Time, error) {
	*a.asked = append(*a.asked, by)
	return a.store.list(ctx, ns, by)
}
