package cmd

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExplainSaysWhatIsTooOld(t *testing.T) {
	explained := func(at time.Time, limit, ignored string) string {
		in := fmt.Sprintf(`{"specversion":"1.0","type":"t","source":"/s","id":"1","time":%q,"datacontenttype":"application/json",`+
			`"data":{"alerts":[{"labels":{"alertname":"A"},"startsAt":"2026-01-17T12:00:00Z"}]}}`, at.Format(time.RFC3339))
		code, out, problems := run(t, in, map[string]string{"MAX_EVENT_AGE": limit, "IGNORE_ALERTS": ignored}, "explain", "-")
		require.Zero(t, code, problems)
		return out
	}
	now := time.Now()
	require.Contains(t, explained(now.AddDate(0, 0, -8), "6h", ""), "stale (too_old)")
	require.Contains(t, explained(now.AddDate(0, 0, -8), "0", ""), "new (first_seen)")
	require.Contains(t, explained(now, "6h", ""), "new (first_seen)", "an alert that fires for long, sent just now")
	require.Contains(t, explained(now.AddDate(0, 0, -8), "6h", "A"), "filtered (ignored_alertname)", "nothing would become of it in time either")
}
