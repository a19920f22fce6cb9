package dedup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

func TestOnlyWhatIsInAnObjectIsRejectedForGood(t *testing.T) {
	for reason, row := range map[string]struct {
		err  error
		code string
	}{
		"its content is not valid":           {refusal(t, "schema-pattern"), "ERR_K8S_INVALID"},
		"it is too large":                    {refusal(t, "too-large-for-the-server"), "ERR_K8S_TOO_LARGE"},
		"a policy denies it":                 {refusal(t, "policy"), ""},
		"a policy denies it as too large":    {refusal(t, "policy-too-large"), ""},
		"a policy has an error":              {refusal(t, "policy-cel-error"), ""},
		"a policy lacks its parameter":       {refusal(t, "policy-without-its-param"), ""},
		"a webhook says that it is invalid":  {refusal(t, "webhook-422"), ""},
		"its quota's use is not known yet":   {refusal(t, "quota-without-use"), ""},
		"its namespace does not exist":       {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), NamespaceNotFound},
		"its namespace is being deleted":     {refusal(t, "namespace-that-ends"), NamespaceTerminating},
		"the CRD is not there yet":           {apierrors.NewNotFound(resource, ""), ""},
		"a 404 that says nothing":            {&apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: 404}}, ""},
		"namespaces may not be seen":         {apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "ns", errors.New("rbac")), ""},
		"permissions are missing":            {apierrors.NewForbidden(resource, "a", errors.New("rbac")), ""},
		"a webhook denies it":                {apierrors.NewBadRequest("denied"), ""},
		"the server is busy":                 {apierrors.NewTooManyRequests("busy", 1), ""},
		"the server has trouble":             {apierrors.NewInternalError(errors.New("trouble")), ""},
		"the connection broke":               {errors.New("EOF"), ""},
		"the token is not accepted any more": {apierrors.NewUnauthorized("token"), ""},
	} {
		t.Run(reason, func(t *testing.T) {
			creates := 0
			f := &faulty{store: newStore(), refuse: func(map[string]any) error { creates++; return row.err }}
			outcomes, err := settle(t, f, "a", "b")
			if row.code == "" {
				require.ErrorIs(t, err, row.err)
				return
			}
			require.NoError(t, err)
			for _, o := range outcomes {
				require.Equal(t, row.code, o.Rejected.Code)
				require.ErrorIs(t, o.Rejected, row.err)
			}
			if outcomes[0].Rejected.OfNamespace() {
				require.Equal(t, 1, creates, "no other object is tried where none is accepted")
			}
		})
	}
}

// refusal is what a real API server answered.
func refusal(t *testing.T, name string) error {
	t.Helper()
	text, err := os.ReadFile("client/testdata/refusals/" + name + ".json")
	require.NoError(t, err)
	var s apierrors.StatusError
	require.NoError(t, json.Unmarshal(text, &s.ErrStatus))
	return &s
}

// faulty fails the calls for which it has an error.
type faulty struct {
	*store
	refuse func(body map[string]any) error
	patch  error
	lists  []error // by turns, then none
	// patches is how many patches were tried.
	patches int
}

func (f *faulty) list(ctx context.Context, ns string, by selector) ([]object, time.Time, error) {
	if len(f.lists) > 0 {
		err := f.lists[0]
		f.lists = f.lists[1:]
		if err != nil {
			return nil, epoch, err
		}
	}
	return f.store.list(ctx, ns, by)
}

func (f *faulty) create(ctx context.Context, ns string, body map[string]any) (types.UID, error) {
	if f.refuse != nil {
		if err := f.refuse(body); err != nil {
			return "", err
		}
	}
	return f.store.create(ctx, ns, body)
}

func (f *faulty) patchStatus(ctx context.Context, ns, name string, patch map[string]any) (string, error) {
	f.patches++
	if f.patch != nil {
		return "", f.patch
	}
	return f.store.patchStatus(ctx, ns, name, patch)
}

func settle(t *testing.T, a api, keys ...string) ([]Outcome, error) {
	t.Helper()
	d, err := newDeduplicator(a, Options{SignalType: "alert"})
	require.NoError(t, err)
	return d.Settle(t.Context(), mapping.Signal{Fingerprint: digest("fingerprint"), Name: "A"}, keys, nil)
}

func TestARefusedPatchIsNotTheAlertsFault(t *testing.T) {
	f := &faulty{store: newStore(), patch: refusal(t, "schema-pattern")}
	_, err := settle(t, f, "a", "b")
	require.True(t, apierrors.IsInvalid(err), "%v", err)

	f.patch = nil
	outcomes, err := settle(t, f, "a", "b")
	require.NoError(t, err)
	require.Equal(t, []int32{1, 2}, []int32{outcomes[0].Count, outcomes[1].Count})
}

// An alert whose object the API server rejects counts on the object that a neighbour
// makes, as it does when it comes later. The answer of each alert depends on no
// order, and a redelivery has the same answer.
func TestARejectedAlertHarmsNoneOfItsFingerprint(t *testing.T) {
	invalid := refusal(t, "schema-pattern")
	for reason, row := range map[string]struct {
		keys   []string // Those that begin with a b are of the alert that is rejected.
		counts map[string]int32
	}{
		"it comes first":             {[]string{"b", "a", "a2"}, map[string]int32{"b": 2, "a": 1, "a2": 3}},
		"it comes last":              {[]string{"a", "a2", "b"}, map[string]int32{"a": 1, "a2": 2, "b": 3}},
		"most of them":               {[]string{"b", "b1", "b2", "a"}, map[string]int32{"a": 1, "b": 2, "b1": 3, "b2": 4}},
		"there is no other one":      {[]string{"b", "b2"}, nil},
		"more than there are rounds": {manyKeys("b", 3*maxRounds), nil},
	} {
		t.Run(reason, func(t *testing.T) {
			f := &faulty{store: newStore(), refuse: func(body map[string]any) error {
				if body["spec"].(map[string]any)["signalName"] == "B" {
					return invalid
				}
				return nil
			}}
			d, err := newDeduplicator(f, Options{SignalType: "alert"})
			require.NoError(t, err)
			signals := map[string]mapping.Signal{}
			for _, key := range row.keys {
				signals[key] = signalOf(key[:1])
			}
			for range 2 {
				outcomes, err := d.Settle(t.Context(), signalOf(row.keys[0][:1]), row.keys, signals)
				require.NoError(t, err)
				for i, key := range row.keys {
					if row.counts == nil {
						require.Equal(t, "ERR_K8S_INVALID", outcomes[i].Rejected.Code)
						continue
					}
					require.Nil(t, outcomes[i].Rejected)
					require.Equal(t, row.counts[key], outcomes[i].Count, key)
				}
			}
			require.Len(t, f.all(), min(1, len(row.counts)))
		})
	}
}

func manyKeys(alert string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprint(alert, i))
	}
	return keys
}

func TestTheLookAfterACreateIsTriedAgain(t *testing.T) {
	trouble := apierrors.NewInternalError(errors.New("trouble"))
	f := &faulty{store: newStore(), lists: []error{nil, trouble, trouble, trouble}}
	outcomes, err := settle(t, f, "a")
	require.NoError(t, err)
	require.Equal(t, mapping.FirstSeen, outcomes[0].Reason)

	f = &faulty{store: newStore(), lists: []error{nil, trouble, trouble, trouble, trouble}}
	_, err = settle(t, f, "a")
	require.ErrorIs(t, err, trouble)
}

func TestAManyKeyedEventStaysIdempotent(t *testing.T) {
	s := newStore()
	keys := make([]string, 3*MinKeys)
	for i := range keys {
		keys[i] = digest(string(rune(i)))[:16]
	}
	for range 3 {
		outcomes, err := settle(t, s, keys...)
		require.NoError(t, err)
		require.EqualValues(t, len(keys), s.all()[0].count)
		require.EqualValues(t, len(keys), outcomes[len(keys)-1].Count)
	}
}

func TestLosingEveryRoundIsAnErrorAndTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{store: newStore(), patch: apierrors.NewConflict(resource, "a", errors.New("again"))}
		_, err := settle(t, f, "a")
		require.NoError(t, err)
		begun := time.Now()
		f.patches = 0
		_, err = settle(t, f, "b")
		require.ErrorIs(t, err, ErrContended)
		require.ErrorContains(t, err, "(100 rounds)")
		require.Equal(t, maxRounds, f.patches)
		require.Less(t, time.Since(begun), maxRounds*maxBackOff)
		require.Greater(t, time.Since(begun), time.Second)
	})
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, backOff(ctx, 50), context.Canceled)
}
