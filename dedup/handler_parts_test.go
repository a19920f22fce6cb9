package dedup

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// fake is an API that plays its answers and keeps the calls.
type fake struct {
	answers       []fakeList // to Lists, in turn
	patch, remove error
	lists         []selector
	patched, gone []string
}

type fakeList struct {
	objects []object
	err     error
}

func (f *fake) list(_ context.Context, _ string, by selector) ([]object, time.Time, error) {
	f.lists = append(f.lists, by)
	a := f.answers[min(len(f.lists), len(f.answers))-1]
	return a.objects, epoch, a.err
}

func (f *fake) get(context.Context, string, string) (object, error) {
	return object{}, errors.New("not asked for")
}

func (f *fake) create(context.Context, string, map[string]any) (types.UID, error) {
	return "", errors.New("not asked for")
}

func (f *fake) patchStatus(_ context.Context, _, name string, _ map[string]any) (string, error) {
	f.patched = append(f.patched, name)
	return "8", f.patch
}

func (f *fake) delete(_ context.Context, _, name string, _ types.UID, _ string) error {
	f.gone = append(f.gone, name)
	return f.remove
}

// handlerOn is a handler of one key that waits for nothing.
func handlerOn(t *testing.T, f *fake) (h handler, waits *[]int) {
	t.Helper()
	d, err := newDeduplicator(f, Options{SignalType: "alert"})
	require.NoError(t, err)
	h, waits = d.handler(signal), new([]int)
	h.keys = []string{"k"}
	h.backOff = func(_ context.Context, losses int) error { *waits = append(*waits, losses); return nil }
	h.activeOnly = func(string, int) bool { return false }
	return h, waits
}

var (
	errFake  = errors.New("trouble")
	conflict = apierrors.NewConflict(resource, "a", errors.New("changed"))
)

func TestHowAPastIsRead(t *testing.T) {
	t.Run("once", func(t *testing.T) {
		f := &fake{answers: []fakeList{{}}}
		h, _ := handlerOn(t, f)
		for range 2 {
			require.NoError(t, h.readPast(t.Context()))
			require.NotNil(t, h.objects)
		}
		require.Len(t, f.lists, 1)
		require.Equal(t, epoch, h.now)
	})
	t.Run("after a lost round", func(t *testing.T) {
		f := &fake{answers: []fakeList{{}}}
		h, waits := handlerOn(t, f)
		h.lostRound, h.losses = true, 4
		for range 2 {
			h.objects = nil
			require.NoError(t, h.readPast(t.Context()))
		}
		require.Equal(t, []int{5}, *waits)
		require.Equal(t, 5, h.losses)
		require.Equal(t, []string{"k"}, f.lists[0].keys, "alone")
	})
	t.Run("not where nobody waits any more", func(t *testing.T) {
		f := &fake{answers: []fakeList{{}}}
		h, _ := handlerOn(t, f)
		h.lostRound = true
		h.backOff = func(context.Context, int) error { return errFake }
		require.ErrorIs(t, h.readPast(t.Context()), errFake)
		require.Empty(t, f.lists)
	})
	for reason, row := range map[string]struct {
		created types.UID
		pause   error
		answers []fakeList
		lists   int
		err     error
	}{
		"a List that fails is an error":           {"", nil, []fakeList{{nil, errFake}}, 1, errFake},
		"after a create it is tried again":        {"u", nil, []fakeList{{nil, errFake}, {nil, errFake}, {nil, nil}}, 3, nil},
		"but not for ever":                        {"u", nil, []fakeList{{nil, errFake}}, maxReads, errFake},
		"and not where the handler must not wait": {"u", errors.New("no time"), []fakeList{{nil, errFake}}, 1, errFake},
	} {
		t.Run(reason, func(t *testing.T) {
			f := &fake{answers: row.answers}
			h, waits := handlerOn(t, f)
			h.created = row.created
			backOff := h.backOff
			h.backOff = func(ctx context.Context, n int) error { _ = backOff(ctx, n); return row.pause }
			err := h.readPast(t.Context())
			if row.err == nil {
				require.NoError(t, err)
				require.Equal(t, []int{1, 2}, *waits)
			} else {
				require.ErrorIs(t, err, row.err)
				require.ErrorContains(t, err, "listing the RemediationRequests of "+signal.Fingerprint)
			}
			require.Len(t, f.lists, row.lists)
		})
	}
}

// The brake is read beside a List that a create may follow.
func TestWhenTheBrakeIsRead(t *testing.T) {
	for reason, row := range map[string]struct {
		keys    []string
		created types.UID
		read    bool
	}{
		"before a create": {[]string{"k"}, "", true}, "after it": {[]string{"k"}, "u", false}, "for an end": {nil, "", false},
	} {
		h, _ := handlerOn(t, &fake{answers: []fakeList{{}}})
		read := false
		h.keys, h.created, h.brake = row.keys, row.created, newBrake(func(context.Context) (*Pause, error) { read = true; return nil, nil }, nil)
		_, _, err := h.list(t.Context())
		require.NoError(t, err)
		h.brake.gets.Wait()
		require.Equal(t, row.read, read, reason)
	}
}

func TestWhatALookAfterACreateLists(t *testing.T) {
	own, done := object{uid: "u"}, object{uid: "done", phase: completed}
	active, whole := selector{fingerprint: signal.Fingerprint, active: true, keys: []string{"k"}}, selector{fingerprint: signal.Fingerprint, keys: []string{"k"}}
	for reason, row := range map[string]struct {
		change  func(h *handler)
		answers []fakeList
		lists   []selector
		objects []object
		err     error
	}{
		"the active objects":               {nil, []fakeList{{[]object{own}, nil}}, []selector{active}, []object{own}, nil},
		"all, where its own is not active": {nil, []fakeList{{[]object{done}, nil}, {[]object{own, done}, nil}}, []selector{active, whole}, []object{own, done}, nil},
		"no more, where that failed":       {nil, []fakeList{{[]object{own}, errFake}}, []selector{active}, nil, errFake},
		"all, before a create":             {func(h *handler) { h.created = "" }, []fakeList{{[]object{own, done}, nil}}, []selector{whole}, []object{own, done}, nil},
		"all, for several keys":            {func(h *handler) { h.keys = []string{"k", "l"} }, []fakeList{{[]object{own, done}, nil}}, []selector{{fingerprint: signal.Fingerprint, keys: []string{"k", "l"}}}, []object{own, done}, nil},
		"all, where a batch is cheaper":    {func(h *handler) { h.activeOnly = func(string, int) bool { return false } }, []fakeList{{[]object{own, done}, nil}}, []selector{whole}, []object{own, done}, nil},
	} {
		t.Run(reason, func(t *testing.T) {
			f := &fake{answers: row.answers}
			h, _ := handlerOn(t, f)
			h.created, h.ended = "u", 7
			h.activeOnly = func(namespace string, ended int) bool { return namespace == signal.Namespace && ended == 7 }
			h.entry = cacheEntry{clockSkew: 5}
			if row.change != nil {
				row.change(&h)
			}
			objects, now, err := h.list(t.Context())
			require.ErrorIs(t, err, row.err)
			require.Equal(t, epoch, now)
			require.Equal(t, row.objects, objects)
			require.Equal(t, row.lists, f.lists)
			if len(row.objects) == 1 {
				require.Equal(t, cacheEntry{}, h.entry, "it is not the whole past")
			} else if err == nil {
				require.Equal(t, 1, h.ended)
			}
		})
	}
}

func TestHowLongALateObjectMakesAHandlerWait(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{0: lateAge, -time.Hour: lateAge, lateAge / 2: lateAge / 2} {
		h, _ := handlerOn(t, &fake{})
		h.now, h.objects = epoch.Add(age), []object{{}}
		var slept time.Duration
		h.sleep = func(_ context.Context, d time.Duration) error { slept = d; return errFake }
		require.ErrorIs(t, h.act(t.Context(), verdict{action: wait, object: object{uid: "late", createdAt: epoch}}, nil), errFake)
		require.Equal(t, want, slept)
		require.True(t, h.waitedFor["late"])
		require.Nil(t, h.objects, "it lists again")
	}
}

func TestWhyAKeyIsOnRecord(t *testing.T) {
	h, _ := handlerOn(t, &fake{})
	h.reasons["own"] = mapping.Recurred
	for reason, row := range map[string]struct {
		key  string
		ours bool
		made int32
		want mapping.Reason
	}{
		"it made the object":               {"own", true, 1, mapping.Recurred},
		"it counts on one of ours":         {"own", true, 2, mapping.Active},
		"it counts on a foreign one":       {"own", false, 2, mapping.ActiveForeign},
		"another delivery made the object": {"other", true, 1, replayReason(1)},
		"another delivery counted it":      {"other", false, 2, replayReason(2)},
	} {
		require.Equal(t, row.want, h.reason(row.key, object{ours: row.ours}, row.made), reason)
	}
	require.Equal(t, Outcome{Reason: mapping.Active, Name: "n", UID: "u", Count: 3, At: epoch}, outcome(mapping.Active, object{name: "n", uid: "u"}, entryAt(3, epoch)))
}

func TestWhatACountIsToldOf(t *testing.T) {
	for reason, row := range map[string]struct {
		events  map[string]recordEntry
		missing []string
		done    map[string]int32
	}{
		"the key that it was made for is on record": {counts(map[string]int32{"a": 1}), []string{"b"}, map[string]int32{"b": 2}},
		"that key was removed":                      {counts(nil), []string{"a", "b"}, map[string]int32{"a": 1, "b": 2}},
	} {
		t.Run(reason, func(t *testing.T) {
			f := &fake{}
			h, _ := handlerOn(t, f)
			h.created, h.createdFor = "u", "a"
			h.reasons["a"] = mapping.FirstSeen
			o := lone()
			o.name, o.uid, o.events = "rr", "u", row.events
			had := len(row.events)
			require.NoError(t, h.count(t.Context(), verdict{action: count, object: o, missing: row.missing, reason: mapping.Active}))
			done := map[string]int32{}
			for key, d := range h.done {
				done[key] = d.Count
				want := mapping.Active
				if key == "a" {
					want = mapping.FirstSeen
				}
				require.Equal(t, want, d.Reason)
			}
			require.Equal(t, row.done, done)
			require.Len(t, row.events, had, "the past stays as it was read")
			require.Equal(t, []string{"rr"}, f.patched)
		})
	}
	h, _ := handlerOn(t, &fake{patch: errFake})
	require.ErrorIs(t, h.count(t.Context(), verdict{object: lone(), missing: []string{"b"}}), errFake)
	h, _ = handlerOn(t, &fake{patch: conflict})
	require.NoError(t, h.count(t.Context(), verdict{object: lone(), missing: []string{"b"}}))
	require.Empty(t, h.done)
}

func TestTheStepsOfAMerge(t *testing.T) {
	for reason, row := range map[string]struct {
		absorbed      bool
		patch, remove error
		patched, gone []string
		lost          bool
		err           error
	}{
		"first the record, then the object": {false, nil, nil, []string{"a"}, []string{"b"}, false, nil},
		"the record was added before":       {true, nil, nil, nil, []string{"b"}, false, nil},
		"another writer was first":          {false, conflict, nil, []string{"a"}, nil, true, nil},
		"the record cannot be added":        {false, errFake, nil, []string{"a"}, nil, false, errFake},
		"the duplicate has changed":         {true, nil, conflict, nil, []string{"b"}, true, nil},
		"the duplicate is gone":             {true, nil, apierrors.NewNotFound(resource, "b"), nil, []string{"b"}, true, nil},
		"the duplicate cannot be deleted":   {true, nil, errFake, nil, []string{"b"}, false, errFake},
	} {
		t.Run(reason, func(t *testing.T) {
			f := &fake{patch: row.patch, remove: row.remove}
			h, _ := handlerOn(t, f)
			h.objects = []object{{}}
			survivor, duplicate := lone(), lone()
			survivor.name, duplicate.name, duplicate.uid = "a", "b", "b"
			duplicate.events = counts(map[string]int32{"k1": 1})
			if row.absorbed {
				survivor = survivor.withDuplicate(duplicate, "")
				survivor.displayStale = false
			}
			err := h.act(t.Context(), verdict{action: merge, object: survivor, duplicate: duplicate}, nil)
			require.ErrorIs(t, err, row.err)
			require.Equal(t, row.patched, f.patched)
			require.Equal(t, row.gone, f.gone)
			require.Equal(t, row.lost, h.lostRound)
			require.Nil(t, h.objects, "the next round lists")
		})
	}
}

// A patch says whether the cache was right only if it was the first thing to ask the API
// server about what the cache said.
func TestWhatAPatchSaysOfTheCache(t *testing.T) {
	for reason, row := range map[string]struct {
		fromCache, unverified bool
		err                   error
		observed              []bool
		lost                  bool
	}{
		"it was right":                   {true, true, nil, []bool{true}, false},
		"it was outdated":                {true, true, conflict, []bool{false}, false},
		"it is not known":                {true, true, errFake, nil, false},
		"the object was read since":      {true, false, conflict, nil, true},
		"it was read, and is as it was":  {true, false, nil, nil, false},
		"it came from a List":            {false, false, conflict, nil, true},
		"it came from a List, unchanged": {false, true, nil, nil, false},
		"it came from a later List":      {false, true, conflict, nil, true},
	} {
		t.Run(reason, func(t *testing.T) {
			h, _ := handlerOn(t, &fake{patch: row.err})
			seen := &observing{cache: h.cache}
			h.cache, h.fromCache, h.unverified = seen, row.fromCache, row.unverified
			_, ok, err := h.patch(t.Context(), object{name: "a"}, nil)
			require.Equal(t, row.err == nil, ok)
			require.Equal(t, errors.Is(row.err, errFake), err != nil)
			require.Equal(t, row.observed, seen.observed)
			require.Equal(t, row.lost, h.lostRound)
		})
	}
}

// observing is a cache that keeps what it is told.
type observing struct {
	cache
	observed []bool
}

func (o *observing) observe(hit bool) { o.observed = append(o.observed, hit) }
