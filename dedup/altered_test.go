package dedup

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"onefire/mapping"
)

// A policy of admission can take off what says that an object is ours, and by which
// event. The alert that made it is counted once all the same.
func TestAnObjectThatAdmissionChangesIsCountedRight(t *testing.T) {
	for reason, change := range map[string]func(*store){
		"its annotations are gone":     func(s *store) { s.strips = true },
		"somebody else manages it":     func(s *store) { s.disowns = true },
		"neither says that it is ours": func(s *store) { s.strips, s.disowns = true, true },
	} {
		t.Run(reason, func(t *testing.T) {
			s := newStore()
			change(s)
			d, err := newDeduplicator(s, Options{SignalType: "alert"})
			require.NoError(t, err)
			settle := func(want mapping.Reason, counts []int32, keys ...string) {
				t.Helper()
				outcomes, err := d.Settle(t.Context(), signalOf(keys[0]), keys, signalsOf(keys))
				require.NoError(t, err)
				require.Equal(t, want, outcomes[0].Reason)
				for i, o := range outcomes {
					require.Equal(t, counts[i], o.Count, keys[i])
				}
			}
			settle(mapping.FirstSeen, []int32{1, 2}, "a", "b")
			settle(mapping.ReplayedNew, []int32{1, 2}, "a", "b")
			more := mapping.Active
			if s.disowns {
				more = mapping.ActiveForeign
			}
			settle(more, []int32{3}, "c")
			settle(mapping.ReplayedDuplicate, []int32{3}, "c")
			require.Len(t, s.all(), 1)
			require.EqualValues(t, 3, s.all()[0].count)
		})
	}
}

// Where admission changes what objects are found by, no delivery makes one after the
// other.
func TestAFingerprintThatAdmissionChangesMakesNoMoreObjects(t *testing.T) {
	s := newStore()
	f := &faulty{store: s, refuse: func(body map[string]any) error {
		body["spec"].(map[string]any)["signalFingerprint"] = digest("changed")
		return nil
	}}
	for range 3 {
		_, err := settle(t, f, "a")
		require.ErrorIs(t, err, errChanged)
		require.Len(t, s.objects, 1)
	}
}

// A name belongs to an object of another fingerprint, which the label cannot tell from this
// one: it has one character less. The next name is free.
func TestANameThatIsTakenByALikeFingerprint(t *testing.T) {
	s, ours := newStore(), digest("fingerprint")
	other := ours[:len(ours)-1] + "x"
	f := &faulty{store: s, refuse: func(body map[string]any) error {
		if len(s.objects) == 0 {
			body["spec"].(map[string]any)["signalFingerprint"] = other
		}
		return nil
	}}
	outcomes, err := settle(t, f, "a")
	require.NoError(t, err)
	require.Equal(t, mapping.FirstSeen, outcomes[0].Reason)
	var found []string
	for _, o := range s.all() {
		found = append(found, o.fingerprint)
	}
	require.ElementsMatch(t, []string{other, ours}, found)
}

// blind is a lister that never sees anything.
type blind struct{ calls int }

func (b *blind) list(context.Context, string, string, []string) ([]object, time.Time, error) {
	b.calls++
	return nil, epoch, nil
}

// Somebody took the label off by which many fingerprints are listed at once. Where a create
// says that the object exists, its fingerprint is listed alone.
func TestAnObjectThatABatchedListMissesIsListedAlone(t *testing.T) {
	s := newStore()
	_, err := settle(t, s, "a")
	require.NoError(t, err)
	d, err := newDeduplicator(s, Options{SignalType: "alert"})
	require.NoError(t, err)
	lists := &blind{}
	d.lists = lists
	outcomes, err := d.core.settle(t.Context(), mapping.Signal{Fingerprint: digest("fingerprint"), Name: "A"}, []string{"b"}, nil)
	require.NoError(t, err)
	require.Equal(t, mapping.Active, outcomes[0].Reason)
	require.EqualValues(t, 2, outcomes[0].Count)
	require.Equal(t, 1, lists.calls)
}

// The answer to the create shows what admission changed.
func TestWhatAdmissionChangesIsTold(t *testing.T) {
	for reason, row := range map[string]struct {
		change func(labels, annotations map[string]any)
		told   []string
	}{
		"nothing":                          {func(_, _ map[string]any) {}, nil},
		"labels of its own":                {func(l, a map[string]any) { l["team"], a["team"] = "x", "x" }, nil},
		"who manages it":                   {func(l, _ map[string]any) { l[managedByLabel] = "argocd" }, []string{managedByLabel}},
		"all that is ours":                 {func(l, a map[string]any) { clear(l); clear(a) }, []string{managedByLabel, eventAnnotation, fingerprintLabel}},
		"a label that nothing here reads":  {func(l, _ map[string]any) { delete(l, componentLabel) }, nil},
		"by which fingerprint it is found": {func(l, _ map[string]any) { l[fingerprintLabel] = "" }, []string{fingerprintLabel}},
	} {
		t.Run(reason, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var o map[string]any
				_ = json.NewDecoder(r.Body).Decode(&o)
				meta := o["metadata"].(map[string]any)
				row.change(meta["labels"].(map[string]any), meta["annotations"].(map[string]any))
				meta["uid"] = "u"
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(map[string]any{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta})
			}))
			defer server.Close()
			k, err := connect(&rest.Config{Host: server.URL})
			require.NoError(t, err)
			var told []string
			k.onAltered = func(namespace, name string, changed []string) {
				require.Equal(t, []string{"ns", "rr"}, []string{namespace, name})
				told = changed
			}
			uid, err := k.create(t.Context(), "ns", newRequest("rr", "", signal, "alert", "a", epoch))
			require.NoError(t, err)
			require.EqualValues(t, "u", uid)
			require.Subset(t, append(told, timeAnnotation), row.told)
			require.Equal(t, len(row.told) > 0, len(told) > 0)
		})
	}
}
