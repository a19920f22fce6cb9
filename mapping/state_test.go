package mapping

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnEventsTimeIsBelievedWhereAClockCouldShowIt(t *testing.T) {
	now := time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)
	for reason, row := range map[string]struct {
		said  time.Time
		dated bool
	}{
		"none":                        {time.Time{}, false},
		"the year 0":                  {time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), false},
		"a clock that was never set":  {time.Unix(-1, 0), false},
		"the first second of all":     {time.Unix(0, 0), true},
		"yesterday":                   {now.AddDate(0, 0, -1), true},
		"as far ahead as clocks are":  {now.Add(maxAhead), true},
		"further":                     {now.Add(maxAhead + time.Nanosecond), false},
		"the last year that there is": {time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600)), false},
	} {
		t.Run(reason, func(t *testing.T) {
			at, dated := EventTime(row.said, now)
			require.Equal(t, row.dated, dated)
			if row.dated {
				require.Equal(t, row.said, at)
			} else {
				require.Equal(t, now, at)
			}
		})
	}
}
