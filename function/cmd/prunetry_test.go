package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"onefire/config"
	"onefire/dedup"
)

// scripted is a collection whose pages a test makes.
func scripted(page pages) collection { return collection{name: "requests", page: page} }

// harmless is an object that is old, whose delete only notes its key.
func harmless(key string, deleted *[]string) expiredObject {
	return expiredObject{key: key, what: "request", delete: func(context.Context) error {
		*deleted = append(*deleted, key)
		return nil
	}}
}

func TestTheFirstCallsHaveTheSameRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPruner(config.Prune{}, PruneOptions{Log: &bytes.Buffer{}, Notes: &bytes.Buffer{}})
		began := time.Now()
		for range callsPerSecond + 1 {
			require.NoError(t, r.try(t.Context(), func(context.Context) error { return nil }))
		}
		require.Equal(t, time.Second, time.Since(began).Round(time.Millisecond))
	})
}

func TestASingleObjectThatIsTooLargeEndsTheReading(t *testing.T) {
	f := fix(t, PruneOptions{}, nil)
	var sizes []int
	_, err := f.sweep(t.Context(), scripted(func(_ context.Context, size int, _ string) (page, error) {
		if sizes = append(sizes, size); len(sizes) > 20 {
			return page{}, errors.New("it reads for ever")
		}
		return page{}, dedup.ErrTooLarge
	}))
	require.ErrorIs(t, err, dedup.ErrTooLarge)
	require.Equal(t, []int{500, 250, 125, 62, 31, 15, 7, 3, 1}, sizes)
}

// Between two objects that were deleted, the reading may begin anew as often as at first.
func TestProgressLetsTheReadingBeginAnewAgain(t *testing.T) {
	f := fix(t, PruneOptions{}, nil)
	var deleted []string
	left := map[string]int{"b": maxPruneRestarts, "c": maxPruneRestarts}
	did, err := f.sweep(t.Context(), scripted(func(_ context.Context, _ int, next string) (page, error) {
		if left[next] > 0 {
			left[next]--
			return page{}, apierrors.NewResourceExpired("forgotten")
		}
		follows := map[string]string{"": "b", "b": "c", "c": ""}[next]
		return page{read: 1, old: []expiredObject{harmless("a"+next, &deleted)}, next: follows}, nil
	}))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "ab", "ac"}, deleted, "each once")
	require.Equal(t, pruneCounts{read: 3, deleted: 3}, did)
}

func TestARunThatIsEndedSaysSoWhateverTheCallSays(t *testing.T) {
	broken := errors.New("no answer")
	for reason, row := range map[string]struct {
		end   string
		tries int
	}{
		"in the first call":                  {"call 1", 1},
		"in the last call":                   {"call 5", maxPruneTries},
		"in the pause after the first call":  {"pause 1", 1},
		"before it has begun":                {"before", 0},
		"in the pause after the second call": {"pause 2", 2},
	} {
		t.Run(reason, func(t *testing.T) {
			f := fix(t, PruneOptions{}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			at := func(what string, n int) {
				if row.end == fmt.Sprint(what, " ", n) {
					cancel()
				}
			}
			if row.end == "before" {
				cancel()
			}
			tries := 0
			f.pause = func(ctx context.Context, _ time.Duration) error {
				at("pause", tries)
				return ctx.Err()
			}
			err := f.try(ctx, func(context.Context) error {
				tries++
				at("call", tries)
				return broken
			})
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, row.tries, tries)
		})
	}
}

func TestARunHasItsTime(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.fail("list", fault{status: http.StatusServiceUnavailable})
	var left time.Duration
	f.pause = func(ctx context.Context, _ time.Duration) error {
		at, ok := ctx.Deadline()
		require.True(t, ok)
		left = time.Until(at)
		return nil
	}
	require.NoError(t, f.prune(t))
	require.LessOrEqual(t, left, pruneTimeout)
	require.Greater(t, left, pruneTimeout/2)
}

func TestDeadLettersAreAskedForAgainWithoutAnAnswer(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"TTL": "0"})
	f.letter("dead-letter-1", 31*day)
	f.fail("list", fault{})
	require.NoError(t, f.prune(t))
	require.Empty(t, f.left("configmaps"))
	require.Equal(t, []time.Duration{time.Second}, f.waits)
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, wait(ctx, 0))
	cancel()
	require.ErrorIs(t, wait(ctx, time.Hour), context.Canceled)
}
