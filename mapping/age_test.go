package mapping

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOnlyAnEventThatWasSentLongAgoIsTooOld(t *testing.T) {
	now := time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	for reason, row := range map[string]struct {
		// time is the event's, arrived when a Broker took it.
		time, arrived time.Time
		alert         Alert
		want          bool
	}{
		"an event of eight days ago":                         {time: ago(8 * day), alert: Alert{StartsAt: ago(8 * day)}, want: true},
		"an alert that fires for days, sent just now":        {time: ago(time.Second), alert: Alert{StartsAt: ago(8 * day)}},
		"as old as the limit":                                {time: ago(6 * time.Hour), alert: Alert{StartsAt: ago(day)}},
		"older than the limit":                               {time: ago(6*time.Hour + 1), alert: Alert{StartsAt: ago(day)}, want: true},
		"no time: its start does not say when it was sent":   {alert: Alert{StartsAt: ago(8 * day)}},
		"no time, but a Broker took it long ago":             {arrived: ago(day), alert: Alert{StartsAt: ago(8 * day)}, want: true},
		"its time is when the alert began, and it came now":  {time: ago(8 * day), arrived: ago(time.Second), alert: Alert{StartsAt: ago(8 * day)}},
		"the sender's clock is a day behind":                 {time: ago(day), alert: Alert{StartsAt: ago(time.Minute)}},
		"the sender's clock was never set":                   {time: time.Unix(0, 0), alert: Alert{StartsAt: ago(8 * day)}},
		"an old event and a start that nobody believes":      {time: ago(day), alert: Alert{StartsAt: now.Add(day)}, want: true},
		"a time of next year is none":                        {time: now.Add(365 * day), alert: Alert{StartsAt: ago(8 * day)}},
		"the alert has ended: its object may not know it":    {time: ago(8 * day), alert: Alert{Resolved: true, StartsAt: ago(9 * day), EndsAt: ago(8 * day)}},
		"the sender's clock is a little ahead, all is fresh": {time: now.Add(4 * time.Minute), alert: Alert{StartsAt: ago(8 * day)}},
	} {
		t.Run(reason, func(t *testing.T) {
			sent := Sent(now, row.time, row.arrived)
			require.Equal(t, row.want, Rules{MaxEventAge: 6 * time.Hour}.TooOld(row.alert, sent, now))
			require.False(t, Rules{}.TooOld(row.alert, sent, now), "without a limit none is")
		})
	}
}

func TestAClockThatWasNeverSetSaysNothing(t *testing.T) {
	now := time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)
	first := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, first, Sent(now, first))
	require.Zero(t, Sent(now, first.Add(-time.Second)))
}
