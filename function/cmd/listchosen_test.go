package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/dedup"
)

// Of one fingerprint only the last request can ask for quiet.
func TestWhatWasFollowedIsNotOpen(t *testing.T) {
	review := map[string]any{"overallPhase": "Failed", "outcome": "ManualReviewRequired"}
	waiting := map[string]any{"overallPhase": "Failed", "nextAllowedExecution": before(-time.Hour)}
	phase := func(p string) map[string]any { return map[string]any{"overallPhase": p} }
	one := func(namespace, name, fingerprint string, age time.Duration, status map[string]any) map[string]any {
		return request(with{namespace: namespace, name: name, fingerprint: fingerprint, age: age, status: status})
	}
	for reason, row := range map[string]struct {
		objects []map[string]any
		want    []string
	}{
		"a review is over, but not in another namespace": {
			[]map[string]any{one("default", "first", "f", 3*time.Hour, review), one("default", "second", "f", time.Hour, phase("Completed")), one("shop", "other", "f", 2*time.Hour, review)},
			[]string{"second ended false", "other review true", "first ended false"},
		},
		"a wait is over": {
			[]map[string]any{one("default", "first", "f", 3*time.Hour, waiting), one("default", "second", "f", time.Hour, waiting), one("default", "other", "g", 2*time.Hour, waiting)},
			[]string{"second waiting true", "other waiting true", "first ended false"},
		},
		"what is active stays so": {
			[]map[string]any{one("default", "first", "f", 3*time.Hour, phase("Executing")), one("default", "second", "f", time.Hour, phase("Executing"))},
			[]string{"second burning true", "first burning true"},
		},
	} {
		t.Run(reason, func(t *testing.T) {
			code, out, problems := startRequests(t, row.objects...).run(t, nil, "-A", "-ended", "-o", "json")
			require.Zero(t, code, problems)
			var all []requestRow
			require.NoError(t, json.Unmarshal([]byte(out), &all))
			var got []string
			for _, r := range all {
				got = append(got, fmt.Sprint(r.Name, " ", r.State, " ", r.Open))
			}
			require.Equal(t, row.want, got)
		})
	}
}

func TestASingleRequestThatIsTooLargeEndsAListing(t *testing.T) {
	var sizes []int
	l := &lister{page: func(_ context.Context, _ string, size int, _ string) (dedup.RequestPage, error) {
		if sizes = append(sizes, size); len(sizes) > 20 {
			return dedup.RequestPage{}, errors.New("it reads for ever")
		}
		return dedup.RequestPage{}, dedup.ErrTooLarge
	}}
	_, err := l.read(t.Context())
	require.ErrorIs(t, err, dedup.ErrTooLarge)
	require.Equal(t, []int{500, 250, 125, 62, 31, 15, 7, 3, 1}, sizes)
}

func TestABrakeThatDoesNotExistIsOff(t *testing.T) {
	asked := 0
	kube := &rest.Config{Host: "https://api.test", Transport: answering(func(r *http.Request) (int, string) {
		asked++
		at, ok := r.Context().Deadline()
		require.True(t, ok)
		require.LessOrEqual(t, time.Until(at), listTimeout)
		return http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`
	})}
	require.Empty(t, pauses(t.Context(), kube, config.Config{Brake: "onefire-brake"}, "default", "shop"))
	require.Equal(t, 3, asked)
}

func TestAListWithAWrongVariableSaysSo(t *testing.T) {
	code, out, problems := startRequests(t).run(t, map[string]string{"FINGERPRINT": "x"})
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Contains(t, problems, "FINGERPRINT")
}
