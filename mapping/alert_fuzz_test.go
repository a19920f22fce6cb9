package mapping

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParse(f *testing.F) {
	for _, body := range captured(f) {
		f.Add(body)
	}
	for _, row := range odd {
		f.Add([]byte(row.payload))
	}
	for _, payload := range none {
		f.Add([]byte(payload))
	}
	f.Add(manyAlerts(3))
	f.Add([]byte(`{"labels":{"alertname":"A"},"x":` + nested(2*maxPayloadDepth) + `}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data, now)
		if err != nil {
			require.Empty(t, n)
			require.NotEqual(t, errors.Is(err, ErrNoAlerts), errors.Is(err, ErrTooMany), "%v", err)
			return
		}
		again, err := Parse(data, now)
		require.NoError(t, err)
		require.Equal(t, n, again)
		require.NotEmpty(t, n.Alerts)
		require.LessOrEqual(t, len(n.Alerts), MaxAlerts)
		for _, a := range n.Alerts {
			requireUsable(t, a)
		}
	})
}

// requireUsable asserts what the rest of Onefire relies on for each alert.
func requireUsable(t *testing.T, a Alert) {
	t.Helper()
	require.NotEmpty(t, a.Raw)
	require.Equal(t, a.Problem == "", len(a.Labels) > 0, "an alert has labels or a problem")
	for _, rules := range []Rules{
		{Fingerprint: ByAlert, Placement: PlacementFixed, Namespace: "ops"},
		{Fingerprint: ByResource, Placement: PlacementSignal, Namespace: "ops", Severities: SeverityMap{"x": Low}},
	} {
		s, err := rules.Signal(a, now)
		require.NoError(t, beyondLimits(s))
		again, againErr := rules.Signal(a, now)
		require.Equal(t, s, again)
		require.Equal(t, err, againErr)
	}
	// An alert means the same without its neighbours, but for the group's status.
	alone, err := Parse(append(append([]byte("["), a.Raw...), ']'), now)
	require.NoError(t, err)
	require.Len(t, alone.Alerts, 1)
	alone.Alerts[0].Resolved, alone.Alerts[0].NotFiring = a.Resolved, a.NotFiring
	require.Equal(t, a, alone.Alerts[0])
}
