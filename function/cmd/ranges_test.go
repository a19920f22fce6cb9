package cmd

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asked is a range that a reader asked for.
type asked struct{ from, to time.Time }

func TestAHistoryIsReadInRangesThatFit(t *testing.T) {
	end := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for reason, row := range map[string]struct {
		since, step time.Duration
		// most is what the server takes, in points of one series.
		most    int
		late    bool
		queries int
		problem string
	}{
		"a day in each":                               {since: 30 * 24 * time.Hour, step: time.Minute, most: 1440, queries: 31},
		"never more than Prometheus takes":            {since: 24 * time.Hour, step: time.Second, most: 10_000, queries: 9},
		"one sample":                                  {since: 0, step: time.Minute, most: 1, queries: 1},
		"steps of a day":                              {since: 30 * 24 * time.Hour, step: 24 * time.Hour, most: 1, queries: 31},
		"half of it where an answer is too large":     {since: 24 * time.Hour, step: time.Minute, most: 500, queries: 7},
		"a single sample is too large":                {since: 24 * time.Hour, step: time.Minute, most: 0, queries: 11, problem: "also for a shorter time: use larger steps with -step"},
		"a server that is late is not asked for ever": {since: 24 * time.Hour, step: time.Minute, most: 0, late: true, queries: 4, problem: "also for a shorter time"},
	} {
		t.Run(reason, func(t *testing.T) {
			var all []asked
			queries := 0
			r := reader{
				step: row.step, take: func(answer) error { return nil }, done: func(time.Time) {},
				ask: func(_ context.Context, from, to time.Time) (answer, error) {
					queries++
					points := int(to.Sub(from)/row.step) + 1
					require.LessOrEqual(t, points, maxPoints)
					require.Zero(t, to.Sub(from)%row.step)
					if points > row.most {
						return answer{}, &tooMuchError{reason: "too much", late: row.late}
					}
					all = append(all, asked{from, to})
					return answer{}, nil
				},
			}
			err := r.read(t.Context(), end.Add(-row.since), end)
			require.Equal(t, row.queries, queries)
			if row.problem != "" {
				require.ErrorContains(t, err, row.problem)
				return
			}
			require.NoError(t, err)
			require.Equal(t, end.Add(-row.since), all[0].from)
			require.Equal(t, end, all[len(all)-1].to)
			for i := range all[1:] {
				require.Equal(t, all[i].to.Add(row.step), all[i+1].from, "each sample is asked for once")
			}
		})
	}
}

func TestAReaderStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	r := reader{step: time.Minute, ask: func(context.Context, time.Time, time.Time) (answer, error) { return answer{}, broken }}
	require.ErrorIs(t, r.read(t.Context(), time.Unix(0, 0), time.Unix(600, 0)), broken)
	r.ask = func(context.Context, time.Time, time.Time) (answer, error) { return answer{}, nil }
	r.take = func(answer) error { return broken }
	require.ErrorIs(t, r.read(t.Context(), time.Unix(0, 0), time.Unix(600, 0)), broken)
}

func TestAReaderMakesABoundedNumberOfQueries(t *testing.T) {
	r := reader{
		step: time.Second, take: func(answer) error { return nil }, done: func(time.Time) {},
		ask: func(context.Context, time.Time, time.Time) (answer, error) { return answer{}, nil },
	}
	require.ErrorContains(t, r.read(t.Context(), time.Unix(0, 0), time.Unix(4e9, 0)), "after 10000 queries: ask for less with -since")
}
