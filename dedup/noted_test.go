package dedup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/mapping"
)

// Where an object of ours and one of others are both active, each is told of the ends
// of the alerts that it counts.
func TestEndsAreNotedOnEveryActiveObject(t *testing.T) {
	s := newStore()
	s.perSecond = 1
	s.addForeign(signal.Fingerprint, "foreign")
	require.Equal(t, "foreign", made(s, "b"))
	s.complete("foreign")
	ours := made(s, "a")
	s.setStatus("foreign", map[string]any{"overallPhase": ""})
	d, err := newDeduplicator(s, Options{SignalType: "alert"})
	require.NoError(t, err)
	require.Equal(t, []mapping.Reason{mapping.ResolvedActive, mapping.ResolvedActive}, resolve(t, d, "-b", "-a"))
	for _, name := range []string{"foreign", ours} {
		require.False(t, s.seen[name].lastResolved.IsZero(), name)
	}
}

// Of too many differences the same ones are named each time.
func TestTheSameDifferencesAreNamedEachTime(t *testing.T) {
	many, want := map[string]string{}, map[string]string{}
	for i := range 2 * maxDifferences {
		name := fmt.Sprintf("l%02d", i)
		if many[name] = "x"; i < maxDifferences {
			want[name] = "x"
		}
	}
	for range 10 {
		require.Equal(t, want, differences(nil, many))
	}
}

func TestAWarningSaysThatNoRecordIsKept(t *testing.T) {
	require.True(t, KeepsNoRecord([]string{"other", `unknown field "status.conditions[0].message"`}))
	require.False(t, KeepsNoRecord([]string{"other", `unknown field "status.deduplication.events"`}))
	require.False(t, KeepsNoRecord(nil))
}

// Where the phase can be selected, one call is all, and its error is the answer.
func TestAListOfActiveObjectsIsOneCall(t *testing.T) {
	s := newServer(t, 3, 10)
	k := s.connect(t)
	objects, now, err := k.list(t.Context(), "ns", selector{fingerprint: digest("a"), active: true})
	require.NoError(t, err)
	require.NotEmpty(t, objects)
	require.False(t, now.IsZero())
	require.Len(t, s.asked, 1)
	k.budget.free.TryAcquire(maxListMemory)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = k.list(ended, "ns", selector{fingerprint: digest("a"), active: true})
	require.Error(t, err)
}

// The handler does not take a broken answer for a short List, nor one whose objects
// it could not keep.
func TestAListThatIsBrokenIsNone(t *testing.T) {
	full := errors.New("no memory is left")
	take := func(object) error { return nil }
	for text, each := range map[string]func(object) error{
		`"kind":"List","items":[]}`:         take,
		`[{"kind":"List","items":[]}]`:      take,
		`{"kind":"List","items":[]`:         take,
		`{"kind":"List","items":{}}`:        take,
		`{"kind":"List","items":"x"}`:       take,
		`{"kind":"Lists","items":[]}`:       take,
		`{"items":[]}`:                      take,
		`{"kind":"List","items":[{},{}]}`:   func(object) error { return full },
		`{"kind":"List","items":[{},{}]} x`: take,
	} {
		_, err := readList(strings.NewReader(text), enough, each)
		require.Error(t, err, text)
	}
	_, err := readList(strings.NewReader(`{"kind":"List","items":[{},{}]}`), enough, func(object) error { return full })
	require.ErrorIs(t, err, full)
}

func TestAnObjectSaysWhatKindOfSignalMadeIt(t *testing.T) {
	s := newStore()
	d, err := newDeduplicator(s, Options{SignalType: "prometheus-alert"})
	require.NoError(t, err)
	o, err := d.Settle(t.Context(), signal, []string{"a"}, nil)
	require.NoError(t, err)
	said, _, err := unstructured.NestedString(s.objects[o[0].Name].Object, "spec", "signalType")
	require.NoError(t, err)
	require.Equal(t, "prometheus-alert", said)
}

// A handler waits for a late object as long as it is too young, and never longer.
func TestHowLongALateObjectIsWaitedFor(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{0: 2 * time.Second, time.Second: time.Second, -time.Hour: 2 * time.Second} {
		d, err := newDeduplicator(newStore(), Options{})
		require.NoError(t, err)
		h := d.handler(signal)
		h.now = epoch
		h.objects = []object{}
		var waited time.Duration
		h.sleep = func(_ context.Context, after time.Duration) error { waited = after; return nil }
		require.NoError(t, h.act(t.Context(), verdict{action: wait, object: object{uid: "late", createdAt: epoch.Add(-age)}}, nil))
		require.Equal(t, want, waited)
		require.Nil(t, h.objects, "it looks again")
		require.True(t, h.waitedFor["late"])
	}
}

// When the alert of an object was first said to fire: by its own annotation, else the
// earlier of its two times.
func TestWhenAnObjectsAlertFired(t *testing.T) {
	at := func(minute int) string {
		if minute == 0 {
			return ""
		}
		return formatTime(epoch.Add(time.Duration(minute) * time.Minute))
	}
	for _, row := range []struct{ annotation, began, received, want int }{
		{3, 1, 2, 3}, {0, 1, 2, 1}, {0, 2, 1, 1}, {0, 0, 2, 2}, {0, 2, 0, 2}, {0, 0, 0, 0}, {0, 1, 1, 1},
	} {
		text := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}},"spec":{"firingTime":%q,"receivedTime":%q}}`, timeAnnotation, at(row.annotation), at(row.began), at(row.received))
		want := time.Time{}
		if row.want > 0 {
			want = epoch.Add(time.Duration(row.want) * time.Minute)
		}
		require.True(t, want.Equal(read(t, text).firing), text)
	}
}

// A delivery that waits by itself is settled once, whatever becomes of it.
func TestAPanicOfADeliveryAloneIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := &settling{fail: func(keys []string) error {
			if keys[0] == "bad" {
				panic("a bug")
			}
			return nil
		}}
		s := newSettleBatcher(by.settle)
		var all sync.WaitGroup
		all.Go(func() { _, _ = s.Settle(t.Context(), signal, []string{"a"}, nil) })
		synctest.Wait()
		all.Go(func() {
			require.PanicsWithValue(t, "a bug", func() { _, _ = s.Settle(t.Context(), signal, []string{"bad"}, nil) })
		})
		all.Wait()
		require.Equal(t, [][]string{{"a"}, {"bad"}}, by.asked)
	})
}

// A name that was refused twice is held by another fingerprint only if somebody holds it.
func TestANameThatIsFreeAgainIsNotHeld(t *testing.T) {
	d, err := newDeduplicator(reads{get1: func() (object, error) { return object{}, errors.New("down") }}, Options{})
	require.NoError(t, err)
	h := d.handler(signal)
	h.refused = "name"
	require.ErrorContains(t, h.nameTaken(t.Context(), "name"), "down")
	for reason, row := range map[string]struct {
		holder *object
		held   bool
	}{
		"nobody holds it any more": {nil, false},
		"one of ours does":         {&object{fingerprint: signal.Fingerprint, ours: true}, false},
		"another's does":           {&object{fingerprint: digest("another")}, true},
	} {
		t.Run(reason, func(t *testing.T) {
			s := newStore()
			d, err := newDeduplicator(reads{get1: func() (object, error) {
				if row.holder == nil {
					return s.get(t.Context(), "", "name")
				}
				return *row.holder, nil
			}}, Options{})
			require.NoError(t, err)
			h := d.handler(signal)
			require.NoError(t, h.nameTaken(t.Context(), "name"), "the next List may show it")
			require.Empty(t, h.takenNames)
			require.NoError(t, h.nameTaken(t.Context(), "name"))
			require.Equal(t, row.held, h.takenNames["name"])
		})
	}
}

// A List of active objects that does not show the handler's own one says nothing.
func TestALookThatDoesNotShowItsOwnObjectSaysNothing(t *testing.T) {
	s := newStore()
	name := made(s, "a")
	d, err := newDeduplicator(s, Options{})
	require.NoError(t, err)
	h := d.handler(signal)
	h.created = s.seen[name].uid
	objects, _, err := h.listActive(t.Context())
	require.NoError(t, err)
	require.Len(t, objects, 1)
	h.created = "another"
	objects, _, err = h.listActive(t.Context())
	require.NoError(t, err)
	require.Nil(t, objects)
	h.api = &faulty{store: s, lists: []error{errors.New("down")}}
	_, _, err = h.listActive(t.Context())
	require.Error(t, err)
}
