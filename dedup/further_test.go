//go:build !race

package dedup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

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
	o, err := d.Forecast(t.Context(), signal, "", false)
	require.NoError(t, err)
	require.Equal(t, Outcome{Reason: mapping.Active, Name: name, Count: 2}, o)
	d, err = newDeduplicator(&faulty{store: s, lists: []error{errors.New("down")}}, Options{})
	require.NoError(t, err)
	_, err = d.Forecast(t.Context(), signal, "", false)
	require.ErrorContains(t, err, "down")
}

func TestALookThatShowsItsOwnObjectEndedSaysNothing(t *testing.T) {
	s := newStore()
	s.finalizers = true
	name := made(s, "a")
	d, err := newDeduplicator(s, Options{})
	require.NoError(t, err)
	h := d.handler(signal)
	h.created = s.seen[name].uid
	s.remove(name) // It is still there, and about to go.
	require.Len(t, s.all(), 1)
	objects, _, err := h.listActive(t.Context())
	require.NoError(t, err)
	require.Nil(t, objects)
}

// An end merges two active objects as a count does: the one that a controller works on
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
		_, errs := deliver(t, newSettleBatcher(by.settle), []string{"a"}, []string{"bad"}, []string{"good"})
		require.NoError(t, errs[0])
		require.ErrorIs(t, errs[2], down)
	})
}

// Of several objects that follow one, the last by age goes on, in whatever order they
// are listed.
func TestWhichOfTwoFollowersIsTheLast(t *testing.T) {
	at := func(name string, follows types.UID) object {
		return object{name: name, uid: types.UID(name), follows: follows, createdAt: epoch, phase: completed}
	}
	a, b, c := at("z", ""), at("m", "z"), at("p", "z")
	for _, all := range [][]object{{a, b, c}, {a, c, b}, {b, a, c}, {c, b, a}} {
		require.Equal(t, "p", last(all).name)
	}
}

// Where two objects have a key on record, the active one says what it did, else one
// that is not about to go.
func TestWhichObjectSaysWhatAKeyDid(t *testing.T) {
	with := func(name, phase string, deleting bool) object {
		return object{name: name, phase: phase, deleting: deleting, events: map[string]recordEntry{"k": {count: 1}}}
	}
	active, ended, going := with("active", "", false), with("ended", completed, false), with("going", "", true)
	for _, row := range []struct {
		objects []object
		want    string
	}{{[]object{active, ended}, "active"}, {[]object{ended, active}, "active"}, {[]object{going, ended}, "ended"}, {[]object{ended, going}, "ended"}, {[]object{active, going}, "active"}} {
		found, _, ok := recorded(row.objects, "k")
		require.True(t, ok)
		require.Equal(t, row.want, found.name)
	}
}

func TestAnEndThatLosesEveryRoundIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		made(s, "a")
		f := &faulty{store: s, patch: apierrors.NewConflict(resource, "a", errors.New("again"))}
		d, err := newDeduplicator(f, Options{SignalType: "alert"})
		require.NoError(t, err)
		_, err = d.Resolve(t.Context(), []mapping.Signal{signalOf("-a")})
		require.ErrorIs(t, err, ErrContended)
		require.ErrorContains(t, err, "(100 rounds)")
		require.Equal(t, maxRounds, f.patches)
	})
}

func TestAnEarlierVersionsAbsorbedCounts(t *testing.T) {
	o := read(t, `{"status":{"deduplication":{"absorbed":{"u":3,"v":0,"w":-1}}}}`)
	require.Equal(t, map[string]int32{"u": 3}, o.absorbed)
	for _, field := range []string{`"events":{"k":1}`, `"absorbed":{"u":3}`, `"alertStates":{"i":{}}`, `"events":{"k":1},"absorbed":{"u":3}`, `"events":{"k":1},"alertStates":{"i":{}}`} {
		require.True(t, read(t, `{"status":{"deduplication":{`+field+`}}}`).old, field)
	}
	require.False(t, read(t, `{"status":{"deduplication":{"occurrenceCount":3}}}`).old)
	require.EqualValues(t, math.MaxInt32, read(t, `{"status":{"deduplication":{"occurrenceCount":2147483648}}}`).count)
}

// The spec is what the CRD, and every controller, reads.
func TestTheSpecOfAnObject(t *testing.T) {
	s := mapping.Signal{
		Name: "A", Fingerprint: digest("f"), Severity: mapping.High, Namespace: "ns", Cluster: "east", FiringAt: epoch, SaidAt: epoch.Add(time.Second),
		Target:      mapping.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "d", Namespace: "shop"},
		Labels:      map[string]string{"alertname": "A"},
		Annotations: map[string]string{"summary": "s"}, Payload: json.RawMessage(`{"a":1}`),
	}
	text, err := json.Marshal(newRequest("rr-1", "u", s, "alert", "k", epoch.Add(time.Minute)))
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"apiVersion":"kubernaut.ai/v1alpha1","kind":"RemediationRequest",
		"metadata":{"name":"rr-1","namespace":"ns",
			"labels":{"app.kubernetes.io/managed-by":"onefire","app.kubernetes.io/component":"remediation","onefire/fingerprint":%q},
			"annotations":{"onefire/event":"k","onefire/follows":"u","onefire/event-time":"2026-01-17T12:00:01Z"}},
		"spec":{"signalFingerprint":%q,"signalName":"A","severity":"high","signalType":"alert","signalSource":"prometheus","targetType":"kubernetes",
			"targetResource":{"apiVersion":"apps/v1","kind":"Deployment","name":"d","namespace":"shop"},
			"firingTime":"2026-01-17T12:00:00Z","receivedTime":"2026-01-17T12:01:00Z","signalLabels":{"alertname":"A"},"signalAnnotations":{"summary":"s"},
			"originalPayload":"{\"a\":1}","clusterID":"east"}}`, label(digest("f")), digest("f")), string(text))
}

func TestAPastNeedsAClient(t *testing.T) {
	_, err := OpenPast(&rest.Config{Host: "http://[::1"})
	require.Error(t, err)
}
