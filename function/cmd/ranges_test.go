package cmd

import (
	"context"
	"errors"
	"strings"
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
	asked := 0
	r := reader{
		step: time.Second, take: func(answer) error { return nil }, done: func(time.Time) {},
		ask: func(context.Context, time.Time, time.Time) (answer, error) { asked++; return answer{}, nil },
	}
	require.ErrorContains(t, r.read(t.Context(), time.Unix(0, 0), time.Unix(4e9, 0)), "after 10000 queries: ask for less with -since")
	require.Equal(t, maxQueries, asked)
}

// steps are how many points each query of a reader asks for, and which answers it shows,
// when some queries are too much (x), take too long (l) or fit (.).
func steps(t *testing.T, points int, answers string) (asked []int, done int, err error) {
	t.Helper()
	end := time.Unix(0, 0).Add(time.Duration(points-1) * time.Minute)
	r := reader{
		step: time.Minute, take: func(answer) error { return nil }, done: func(time.Time) { done++ },
		ask: func(_ context.Context, from, to time.Time) (answer, error) {
			asked = append(asked, int(to.Sub(from)/time.Minute)+1)
			if i := len(asked) - 1; i < len(answers) && answers[i] != '.' {
				return answer{}, &tooMuchError{reason: "too much", late: answers[i] == 'l'}
			}
			return answer{}, nil
		},
	}
	err = r.read(t.Context(), time.Unix(0, 0), end)
	return asked, done, err
}

func TestARangeGrowsAgainWhereAnswersFit(t *testing.T) {
	for reason, row := range map[string]struct {
		points  int
		answers string
		asked   []int
	}{
		"after four that fit":              {5000, "x.....", []int{1440, 720, 720, 720, 720, 1440, 680}},
		"and after four more":              {5760, "xx........", []int{1440, 720, 360, 360, 360, 360, 720, 720, 720, 720, 1440}},
		"four in a row since the last":     {3500, "x..x.....", []int{1440, 720, 720, 720, 360, 360, 360, 360, 620}},
		"never beyond a day":               {10000, "", []int{1440, 1440, 1440, 1440, 1440, 1440, 1360}},
		"half of the last range, not more": {1501, ".x", []int{1440, 61, 30, 30, 1}},
	} {
		t.Run(reason, func(t *testing.T) {
			asked, done, err := steps(t, row.points, row.answers)
			require.NoError(t, err)
			require.Equal(t, row.asked, asked)
			require.Equal(t, len(asked)-strings.Count(row.answers, "x"), done, "each answer is shown")
		})
	}
}

// Only queries in a row count: a server may be late now and then.
func TestAServerThatIsLateNowAndThenIsAskedOn(t *testing.T) {
	_, _, err := steps(t, 5000, "lll.lll.lll.")
	require.NoError(t, err)
	asked, _, err := steps(t, 5000, "lll.llll")
	require.ErrorContains(t, err, "too much, also for a shorter time")
	require.Len(t, asked, 8)
}
