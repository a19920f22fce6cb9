package dedup

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

func TestOptionsAreUsed(t *testing.T) {
	_, err := New(&rest.Config{Host: "::"}, Options{})
	require.ErrorContains(t, err, "making a Kubernetes client: ")

	a := &answering{}
	d, err := New(a.config(), Options{})
	require.NoError(t, err)
	k := d.api.(*kube)
	require.Nil(t, k.brake)
	k.onLongPast(LongPast{})
	k.onAltered("", "", nil)
	d.Close()

	var told []any
	d, err = New(a.config(), Options{
		LongPast: func(p LongPast) { told = append(told, p) },
		Altered:  func(namespace, name string, changed []string) { told = append(told, namespace, name, changed) },
		Brake:    types.NamespacedName{Namespace: "onefire", Name: "brake"},
	})
	require.NoError(t, err)
	k = d.api.(*kube)
	require.NotNil(t, k.brake)
	k.onLongPast(LongPast{Fingerprint: "f"})
	k.onAltered("ns", "rr", []string{"a"})
	require.Equal(t, []any{LongPast{Fingerprint: "f"}, "ns", "rr", []string{"a"}}, told)
	d.Close()
	require.Error(t, d.brake.closed.Err())
	require.Error(t, d.history.ctx.Err())
}

// A probe is answered however busy the function is, and says what is missing.
func TestReadiness(t *testing.T) {
	a := &answering{answer: texts(http.StatusOK, strings.NewReader(`{"kind":"RemediationRequestList","items":[]}`))}
	d, err := New(a.config(), Options{})
	require.NoError(t, err)
	for range maxCalls {
		_, err := d.api.(*kube).limiter.acquire(t.Context())
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	require.NoError(t, d.Ready(ctx, "ns"))
	require.Equal(t, "spec.signalFingerprint="+strings.Repeat("0", 64), a.request.URL.Query().Get("fieldSelector"))

	a.answer = func(*http.Request) (*http.Response, error) { return no(http.StatusForbidden, "Forbidden"), nil }
	err = d.Ready(t.Context(), "ns")
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	require.ErrorContains(t, err, "listing remediationrequests in namespace ns: ")
}

func TestHowLongALostRoundWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for losses, bound := range map[int]time.Duration{0: minBackOff, 1: 2 * minBackOff, 30: maxBackOff} {
			var longest time.Duration
			for range 200 {
				begun := time.Now()
				require.NoError(t, backOff(t.Context(), losses))
				longest = max(longest, time.Since(begun))
			}
			require.Less(t, longest, bound, losses)
			require.Greater(t, longest, bound/2, losses)
		}
	})
}

// A past is shortened after a create, and not after a repeat.
func TestAPastIsShortenedAfterACreate(t *testing.T) {
	d, err := newDeduplicator(newStore(), Options{SignalType: "alert"})
	require.NoError(t, err)
	shortened := 0
	c := d.core
	c.shorten = func(context.Context, string, []object, time.Time) { shortened++ }
	for _, key := range []string{"a", "b"} {
		_, err := c.settle(t.Context(), signal, []string{key}, nil)
		require.NoError(t, err)
		require.Equal(t, 1, shortened)
	}
}
