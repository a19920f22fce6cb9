//go:build !race

package dedup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

func TestADeleteHasDeleteOptions(t *testing.T) {
	var body map[string]any
	p := pastOn(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(text, &body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Success"}`))
	})
	require.NoError(t, p.Delete(t.Context(), Ended{Namespace: "shop", Name: "o", uid: "u", resourceVersion: "7"}))
	require.Equal(t, "v1 DeleteOptions", fmt.Sprint(body["apiVersion"], " ", body["kind"]))
}

func TestEveryItemOfAPageIsLookedAt(t *testing.T) {
	done := ending(`"overallPhase":"Completed","completedAt":"`+ago(week+time.Hour)+`"`, `,"namespace":"shop","resourceVersion":"7"`)
	p := pastOn(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", epoch.Format(http.TimeFormat))
		fmt.Fprintf(w, `{"kind":"RemediationRequestList","items":[%s,%s,%s]}`, done, done, done)
	})
	page, err := p.Page(t.Context(), "", week, 500, "")
	require.NoError(t, err)
	require.Len(t, page.Old, 3)
}

// The newest time of all conditions stands in, wherever it stands.
func TestTheNewestConditionCounts(t *testing.T) {
	condition := func(d time.Duration) string { return `{"type":"a","lastTransitionTime":"` + ago(d) + `"}` }
	for _, text := range []string{condition(3*time.Hour) + "," + condition(time.Hour), condition(time.Hour) + "," + condition(3*time.Hour)} {
		_, times := readEnd(t, ending(`"overallPhase":"Completed","conditions":[`+text+`]`, `,"creationTimestamp":"`+ago(9*time.Hour)+`"`))
		require.True(t, epoch.Add(-time.Hour).Equal(times.ended), "%s", times.ended)
	}
}

func TestAForecastReadsOneFingerprint(t *testing.T) {
	s := newStore()
	name := made(s, "a")
	s.addForeign(digest("another"), "another")
	d, err := newDeduplicator(s, Options{})
	require.NoError(t, err)
	o, err := d.Forecast(t.Context(), signal, false)
	require.NoError(t, err)
	require.Equal(t, Outcome{Reason: mapping.Active, Name: name, Count: 2}, o)
	d, err = newDeduplicator(&faulty{store: s, lists: []error{errors.New("down")}}, Options{})
	require.NoError(t, err)
	_, err = d.Forecast(t.Context(), signal, false)
	require.ErrorContains(t, err, "down")
}

func TestALookThatShowsItsOwnObjectEndedSaysNothing(t *testing.T) {
	s := newStore()
	s.finalizers = true
	name := made(s, "a")
	d, err := newDeduplicator(s, Options{})
	require.NoError(t, err)
	h := d.core.handler(signal)
	h.fresh = s.seen[name].uid
	s.remove(name) // It is still there, and about to go.
	require.Len(t, s.all(), 1)
	objects, _, err := h.rivals(t.Context())
	require.NoError(t, err)
	require.Nil(t, objects)
}

// An end heals two active objects as a count does: the one that a controller works on
// stays, by the API server's clock.
func TestAnEndKeepsTheObjectThatIsWorkedOn(t *testing.T) {
	s := newStore()
	setups["reactivated"](s)
	i := slices.IndexFunc(s.all(), func(o object) bool { return o.phase == "Executing" })
	stays := s.all()[i].name
	d, err := newDeduplicator(s, Options{SignalType: "alert"})
	require.NoError(t, err)
	resolve(t, d, "-a")
	require.Len(t, s.all(), 1)
	require.Equal(t, stays, s.all()[0].name)
}

// Whom a neighbour's bug takes along is settled again, and told what that came to.
func TestAnErrorAfterANeighboursPanicIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		by := &settling{fail: func(keys []string) error {
			switch keys[0] {
			case "bad":
				panic("a bug")
			case "good":
				return down
			}
			return nil
		}}
		_, errs := deliver(t, newSharing(by.settle), []string{"a"}, []string{"bad"}, []string{"good"})
		require.NoError(t, errs[0])
		require.ErrorIs(t, errs[2], down)
	})
}
