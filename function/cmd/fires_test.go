package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// minutes are samples at some minutes.
func minutes(all ...int) []moment {
	samples := make([]moment, len(all))
	for i, m := range all {
		samples[i] = moment(time.Duration(m) * time.Minute / time.Millisecond)
	}
	return samples
}

// inMinutes are fires as "start-end", in minutes.
func inMinutes(fires []fire) (all []string) {
	for _, f := range fires {
		minute := time.Minute.Milliseconds()
		all = append(all, fmt.Sprintf("%d-%d", f.start/minute, f.end/minute))
	}
	return all
}

func TestSamplesBecomeFires(t *testing.T) {
	metric := func(labels ...string) map[string]string {
		m := map[string]string{"__name__": "ALERTS", "alertstate": "firing", "alertname": "A"}
		for i := 0; i < len(labels); i += 2 {
			m[labels[i]] = labels[i+1]
		}
		return m
	}
	for reason, row := range map[string]struct {
		step    time.Duration
		add     map[string]string
		drop    []string
		answers [][]series
		want    map[string][]string
	}{
		"a run of samples is one fire": {
			answers: [][]series{{{metric(), minutes(10, 11, 12)}}}, want: map[string][]string{"{}": {"10-12"}},
		},
		"a pause of up to 5 minutes does not end a fire, a longer one does": {
			answers: [][]series{{{metric(), minutes(10, 15, 21)}}}, want: map[string][]string{"{}": {"10-15", "21-21"}},
		},
		"with large steps one sample may be missing": {
			step: 10 * time.Minute, answers: [][]series{{{metric(), minutes(10, 30, 60)}}}, want: map[string][]string{"{}": {"10-30", "60-60"}},
		},
		"the edge of an answer does not end a fire": {
			answers: [][]series{{{metric(), minutes(1, 2, 3)}}, {{metric(), minutes(4, 5)}}, {{metric(), minutes(20)}}},
			want:    map[string][]string{"{}": {"1-5", "20-20"}},
		},
		"answers may overlap, and come in any order": {
			answers: [][]series{{{metric(), minutes(8, 9, 10)}}, {{metric(), minutes(1, 2, 3)}}, {{metric(), minutes(3, 4, 5, 6, 7, 8, 9)}}},
			want:    map[string][]string{"{}": {"1-10"}},
		},
		"each label set has fires of its own": {
			answers: [][]series{{{metric("pod", "a"), minutes(1)}, {metric("pod", "b"), minutes(1)}}},
			want:    map[string][]string{`{pod="a"}`: {"1-1"}, `{pod="b"}`: {"1-1"}},
		},
		"replicas whose label is dropped are one": {
			drop:    []string{"replica"},
			answers: [][]series{{{metric("replica", "a"), minutes(1, 2, 3)}, {metric("replica", "b"), minutes(2, 3, 4)}}},
			want:    map[string][]string{"{}": {"1-4"}},
		},
		"external labels go where there are none": {
			add:     map[string]string{"cluster": "eu"},
			answers: [][]series{{{metric(), minutes(1)}, {metric("cluster", "us"), minutes(2)}}},
			want:    map[string][]string{`{cluster="eu"}`: {"1-1"}, `{cluster="us"}`: {"2-2"}},
		},
		"several labels are added and dropped": {
			add: map[string]string{"cluster": "eu", "env": "prod"}, drop: []string{"replica", "host"},
			answers: [][]series{{{metric("replica", "a", "host", "h", "pod", "p"), minutes(1)}}},
			want:    map[string][]string{`{cluster="eu", env="prod", pod="p"}`: {"1-1"}},
		},
		"a series without samples is nothing": {answers: [][]series{{{metric(), nil}}}, want: map[string][]string{}},
	} {
		t.Run(reason, func(t *testing.T) {
			h := newHistory(max(row.step, time.Minute), row.add, row.drop)
			for _, a := range row.answers {
				require.NoError(t, h.addSeries(a))
			}
			got := map[string][]string{}
			fires := 0
			for _, s := range h.sorted() {
				got[shown(s.labels)] = inMinutes(s.fires)
				fires += len(s.fires)
			}
			require.Equal(t, row.want, got)
			require.Equal(t, fires, h.fires)
		})
	}
}

func TestTheFirstSampleIsKnown(t *testing.T) {
	h := newHistory(time.Minute, nil, nil)
	require.NoError(t, h.addSeries([]series{{map[string]string{"a": "1"}, minutes(7, 8)}, {map[string]string{"a": "2"}, minutes(5)}}))
	require.Equal(t, minutes(5)[0], h.first)
}

// However samples are divided into answers, the fires are the same.
func TestTheFiresDoNotDependOnTheAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfNDistinct(rapid.IntRange(0, 200), 1, 60, rapid.ID[int]).Draw(t, "minutes")
		slices.Sort(samples)
		whole := newHistory(time.Minute, nil, nil)
		require.NoError(t, whole.addSeries([]series{{nil, minutes(samples...)}}))
		parts := newHistory(time.Minute, nil, nil)
		var cuts [][]int
		for rest := samples; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "part")
			cuts, rest = append(cuts, rest[:n]), rest[n:]
		}
		for _, part := range rapid.Permutation(cuts).Draw(t, "order") {
			require.NoError(t, parts.addSeries([]series{{nil, minutes(part...)}}))
		}
		require.Equal(t, whole.sorted()[0].fires, parts.sorted()[0].fires)
		require.Equal(t, whole.fires, parts.fires)
	})
}

func TestSamplesInARowAreOneFire(t *testing.T) {
	gap := (5 * time.Minute).Milliseconds()
	require.Equal(t, []string{"10-17", "23-23"}, inMinutes(runs(minutes(10, 12, 17, 23), gap)))
}

func TestAHistoryIsBounded(t *testing.T) {
	one := func(name string, at ...int) []series { return []series{{map[string]string{"a": name}, minutes(at...)}} }
	h := newHistory(time.Minute, nil, nil)
	for i := range maxLabelSets - 1 {
		h.sets[strconv.Itoa(i)] = nil
	}
	require.NoError(t, h.addSeries(one("last", 1)))
	require.EqualError(t, h.addSeries(one("more", 1)), "more than 100000 label sets fired: ask for less with -since, or ask a Prometheus that has fewer rules")
	require.NoError(t, h.addSeries(one("last", 20)), "a label set that is known")
	require.Equal(t, 2, h.fires)

	h.fires = maxFires - 1
	require.NoError(t, h.addSeries(one("last", 40)))
	require.EqualError(t, h.addSeries(one("last", 60)), "more than 1000000 fires: ask for less with -since")
}
