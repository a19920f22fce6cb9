package cmd

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"onefire/config"
)

// many puts requests that are old, and n-1 that are not before each.
func (f *fixture) many(olds, n int) {
	for i := range olds * n {
		f.request("onefire", fmt.Sprintf("rr-%05d", i), "Completed", map[bool]time.Duration{true: 8 * day, false: 6 * day}[i%n == n-1])
	}
}

func TestPagesAreReadToTheEnd(t *testing.T) {
	f := fix(t, PruneOptions{}, nil)
	f.many(11, 100)
	require.NoError(t, f.prune(t))
	require.Len(t, f.left("remediationrequests"), 11*99)
	require.Equal(t, []string{"500", "500", "500", "500"}, f.limits, "one of dead letters, three of requests")
	f.requireSummary(t, "prune finished", pruneCounts{read: 1100, deleted: 11}, pruneCounts{})
}

func TestAStateThatTheAPIServerNoLongerHasBeginsAgain(t *testing.T) {
	for _, dry := range []bool{false, true} {
		f := fix(t, PruneOptions{DryRun: dry}, nil)
		f.many(11, 100)
		lists := 0
		f.meet = func(verb, path string) {
			if verb != "list" || !strings.HasSuffix(path, "remediationrequests") {
				return
			}
			// The second page, and the third one of the second reading.
			switch lists++; lists {
			case 2:
				f.fail("list", fault{status: http.StatusGone, reason: metav1.StatusReasonExpired})
			case 5:
				f.fail("list", fault{status: http.StatusGone, reason: metav1.StatusReasonGone})
			}
		}
		require.NoError(t, f.prune(t))
		verb := map[bool]string{false: "deleted", true: "would be deleted"}[dry]
		require.Len(t, f.said(t, "request "+verb), 11, "each once")
		require.Equal(t, 8, lists)
		require.EqualValues(t, map[bool]int{false: 1090, true: 1100}[dry], f.said(t, "prune finished")[0]["requests"].(map[string]any)["read"], "what was read before does not count, and what is deleted is not read again")
	}
}

func TestAStateThatIsNeverThereEndsTheRun(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	for i := range prunePage + 1 {
		f.request("onefire", fmt.Sprintf("rr-%05d", i), "Completed", day)
	}
	first := true
	f.meet = func(string, string) {
		if !first {
			f.fail("list", fault{status: http.StatusGone, reason: metav1.StatusReasonExpired})
		}
		first = !first
	}
	require.ErrorContains(t, f.prune(t), "reading requests")
	require.Equal(t, 2*(maxPruneRestarts+1), f.count("list"))
}

func TestAPageThatIsTooLargeIsReadInHalves(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.padding = 500_000
	f.many(40, 1) // 20 MB of 8 MiB at most.
	require.NoError(t, f.prune(t))
	require.Empty(t, f.left("remediationrequests"))
	require.Equal(t, []string{"500", "250", "125", "62", "31", "15", "15", "15"}, f.limits)
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	for name, row := range map[string]struct {
		verb   string
		faults []fault
		waits  []time.Duration
		ok     bool
	}{
		"a List is refused for now":           {"list", []fault{{status: 429, retryAfter: "7"}}, []time.Duration{7 * time.Second}, true},
		"and again":                           {"list", []fault{{status: 503}, {status: 500}}, []time.Duration{time.Second, 2 * time.Second}, true},
		"it asks for an hour":                 {"list", []fault{{status: 503, retryAfter: "3600"}}, []time.Duration{maxPrunePause}, true},
		"no answer":                           {"list", []fault{{}}, []time.Duration{time.Second}, true},
		"a delete is refused for now":         {"delete", []fault{{status: 429, retryAfter: "3"}, {status: 502}}, []time.Duration{3 * time.Second, 2 * time.Second}, true},
		"a delete without an answer":          {"delete", []fault{{}}, []time.Duration{time.Second}, true},
		"a delete whose answer is lost":       {"delete", []fault{{after: true}}, []time.Duration{time.Second}, true},
		"a List that is never answered":       {"list", slices.Repeat([]fault{{status: 503}}, maxPruneTries), []time.Duration{1e9, 2e9, 4e9, 8e9}, false},
		"a delete that is never answered":     {"delete", []fault{{}, {}, {status: 503}, {}, {}}, []time.Duration{1e9, 2e9, 4e9, 8e9}, false},
		"a List that is forbidden":            {"list", []fault{{status: 403, reason: metav1.StatusReasonForbidden}}, nil, false},
		"a delete that is forbidden":          {"delete", []fault{{status: 403, reason: metav1.StatusReasonForbidden}}, nil, false},
		"a first page that is gone, never so": {"list", []fault{{status: 410, reason: metav1.StatusReasonExpired}}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := fix(t, PruneOptions{}, map[string]string{"DEAD_LETTER_TTL": "0"})
			f.many(1, 1)
			f.fail(row.verb, row.faults...)
			err := f.prune(t)
			require.Equal(t, row.waits, f.waits)
			if row.ok {
				require.NoError(t, err)
				require.Empty(t, f.left("remediationrequests"))
				require.Len(t, f.said(t, "request deleted"), 1, "and it is said")
				return
			}
			require.Error(t, err)
			require.Len(t, f.left("remediationrequests"), 1)
			last := lines(t, f.logged.String())
			require.Equal(t, "ERROR", last[len(last)-1]["level"])
			require.Equal(t, "prune failed: the next run goes on", last[len(last)-1]["msg"])
		})
	}
}

func TestOneThatCannotBeDeletedDoesNotKeepTheOthers(t *testing.T) {
	f := fix(t, PruneOptions{}, nil)
	f.many(3, 1)
	f.letter("dead-letter-1", 31*day)
	forbidden := fault{status: 403, reason: metav1.StatusReasonForbidden}
	f.fail("delete", forbidden, forbidden)
	require.EqualError(t, f.prune(t), "2 could not be deleted: the log says why")
	require.Equal(t, []string{"onefire/rr-00000"}, f.left("remediationrequests"))
	require.Len(t, f.left("configmaps"), 1)
	f.requireSummary(t, "prune failed: the next run goes on", pruneCounts{read: 3, deleted: 2, failed: 1}, pruneCounts{read: 1, failed: 1})
	require.Subset(t, f.said(t, "request could not be deleted")[0], map[string]any{"level": "ERROR", "error": "as the test wants it"})
}

func TestManyThatCannotBeDeletedEndTheRun(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.many(2*maxPruneFailures, 1)
	for range maxPruneFailures {
		f.fail("delete", fault{status: 403, reason: metav1.StatusReasonForbidden})
	}
	require.ErrorContains(t, f.prune(t), "deleting requests: 5 failed in a row")
	require.Equal(t, maxPruneFailures, f.count("delete"))
}

func TestFailuresThatAreNotInARowDoNotEndTheRun(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.many(2*maxPruneFailures, 1)
	f.meet = func(verb, _ string) {
		if verb == "delete" && f.count("delete")%maxPruneFailures != maxPruneFailures-1 {
			f.fail("delete", fault{status: 403, reason: metav1.StatusReasonForbidden})
		}
	}
	require.EqualError(t, f.prune(t), fmt.Sprintf("%d could not be deleted: the log says why", 2*maxPruneFailures-2))
	require.Len(t, f.left("remediationrequests"), 2*maxPruneFailures-2, "each time one less than would end it")
}

// A kind that cannot be read does not keep the other.
func TestWithoutRightsOnConfigMapsRequestsArePruned(t *testing.T) {
	f := fix(t, PruneOptions{}, nil)
	f.many(1, 1)
	f.fail("list", fault{status: 403, reason: metav1.StatusReasonForbidden})
	require.ErrorContains(t, f.prune(t), "reading dead_letters")
	require.Empty(t, f.left("remediationrequests"))
}

func TestARunThatIsEndedStops(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.many(9, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.meet = func(verb, _ string) {
		if verb == "delete" && f.count("delete") == 3 {
			cancel()
		}
	}
	require.ErrorIs(t, f.run(ctx, f.fakeServer.config(t), f.config), context.Canceled)
	require.GreaterOrEqual(t, len(f.left("remediationrequests")), 5)
}

// shelves of these tests make no calls, so time can be the test's own.
func TestCallsAreBoundedInRateAndARunInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := newPruner(config.Prune{}, PruneOptions{Log: &log, Notes: &bytes.Buffer{}})
		var all page
		for i := range 100_000 {
			all.old = append(all.old, expiredObject{key: fmt.Sprintf("%09d", i), delete: func(context.Context) error { return nil }})
		}
		// The limiter gives up a moment before the end.
		ctx, cancel := context.WithTimeout(t.Context(), pruneTimeout-time.Millisecond)
		defer cancel()
		began := time.Now()
		did, err := r.sweep(ctx, collection{name: "requests", page: func(context.Context, int, string) (page, error) { return all, nil }})
		require.ErrorIs(t, err, errLate)
		require.InDelta(t, pruneTimeout.Seconds()*callsPerSecond, did.deleted, 2)
		require.LessOrEqual(t, time.Since(began), pruneTimeout)
	})
}

func TestARunThatIsLateIsNoFailure(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.many(1, 1)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	require.NoError(t, f.run(ctx, f.fakeServer.config(t), f.config))
	require.Len(t, f.said(t, "prune stopped after 50m0s: the next run goes on"), 1)
}

func TestACallThatHangsIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPruner(config.Prune{}, PruneOptions{Log: &bytes.Buffer{}, Notes: &bytes.Buffer{}})
		began := time.Now()
		tries := 0
		err := r.try(t.Context(), func(ctx context.Context) error {
			tries++
			<-ctx.Done()
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, maxPruneTries, tries)
		require.Equal(t, maxPruneTries*pruneCallTimeout+15*time.Second, time.Since(began).Round(time.Second))
	})
}

func TestTheProgressIsForATerminal(t *testing.T) {
	var screen bytes.Buffer
	p := newPruneProgress(&screen)
	p.report("dead_letters", pruneCounts{read: 500, deleted: 7}, false)
	p.end()
	require.Empty(t, screen.String(), "it is none")
	p.line = false
	p.report("dead_letters", pruneCounts{read: 500, deleted: 7}, false)
	p.report("dead_letters", pruneCounts{read: 501, deleted: 7}, false)
	p.end()
	p.end()
	require.Equal(t, "\ronefire: dead letters: 500 read, 7 deleted\x1b[K\r\x1b[K", screen.String())
}
