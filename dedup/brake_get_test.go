package dedup

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

var onPause = &Pause{Namespace: "onefire", Name: "brake", UID: "u", Since: time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC), Reason: "ask Jane"}

func TestHowLongAnAnswerOfTheBrakeHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		b := newBrake(func(context.Context) (*Pause, error) { reads++; return nil, nil }, nil)
		for _, step := range []struct {
			after time.Duration
			reads int
		}{{0, 1}, {brakeAge - 1, 1}, {1, 2}, {brakeAge / 2, 2}, {brakeAge, 3}} {
			pass(step.after)
			b.begin(t.Context())
			synctest.Wait()
			require.Equal(t, step.reads, reads)
		}
	})
}

func TestACallerThatGivesUpHasTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		b := newBrake(func(ctx context.Context) (*Pause, error) {
			if reads++; reads > 1 {
				<-ctx.Done()
			}
			return onPause, ctx.Err()
		}, nil)
		require.Equal(t, onPause, b.pause(t.Context()))
		pass(2 * brakeAge)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		require.Equal(t, onPause, b.pause(ctx))
		require.Equal(t, time.Second, time.Since(begun))
		b.close()
	})
}

// awaited is a context that counts the functions that wait for its end.
type awaited struct {
	context.Context
	waiting int
}

func (a *awaited) Value(any) any { return nil }

func (a *awaited) AfterFunc(func()) func() bool {
	a.waiting++
	return func() bool { a.waiting--; return true }
}

func TestAGetLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used context.Context
		b := newBrake(func(ctx context.Context) (*Pause, error) { used = ctx; return nil, nil }, nil)
		closed := &awaited{Context: b.closed}
		b.closed = closed
		require.Nil(t, b.pause(t.Context()))
		synctest.Wait()
		require.ErrorIs(t, used.Err(), context.Canceled)
		require.Zero(t, closed.waiting)
	})
}

func TestAClosedBrakeReadsNothingAndTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		b := newBrake(func(ctx context.Context) (*Pause, error) {
			<-ctx.Done()
			pass(time.Second)
			ended = true
			return nil, ctx.Err()
		}, func(error) { t.Error("the Get was ended by us") })
		b.begin(t.Context())
		b.close()
		require.True(t, ended, "nothing runs after close")
	})
}

func TestABrakeThatCannotBeReadIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(func(context.Context) (*Pause, error) { return nil, errors.New("no") }, nil)
		require.Nil(t, b.pause(t.Context()))
		b.close()
	})
}

func TestOneGetOfTheBrake(t *testing.T) {
	const text = `{"metadata":{"uid":"u","creationTimestamp":"2026-01-17T12:00:00Z"},"data":{"reason":"ask Jane"}}`
	for reason, row := range map[string]struct {
		status int
		body   io.Reader
		want   *Pause
		err    string
	}{
		"it is on":           {http.StatusOK, strings.NewReader(text), onPause, ""},
		"it is off":          {http.StatusNotFound, strings.NewReader(""), nil, ""},
		"it is forbidden":    {http.StatusForbidden, strings.NewReader(""), nil, "reading ConfigMap onefire/brake: "},
		"the answer ends":    {http.StatusOK, io.MultiReader(strings.NewReader(text), failing{errors.New("broken")}), nil, "reading ConfigMap onefire/brake: broken"},
		"it is no JSON":      {http.StatusOK, strings.NewReader(`{"metadata":{"uid":"u"},"data":`), nil, "unexpected end"},
		"it is something":    {http.StatusOK, strings.NewReader(`{"kind":"Status"}`), nil, "the API server's answer to a Get of ConfigMap onefire/brake is not a ConfigMap"},
		"as large as may be": {http.StatusOK, strings.NewReader(sized(text, maxAnswer-1)), onPause, ""},
		"larger than may be": {http.StatusOK, strings.NewReader(sized(text, maxAnswer)), nil, errTooLarge.Error()},
	} {
		t.Run(reason, func(t *testing.T) {
			a := &answering{answer: texts(row.status, row.body)}
			got, err := ReadPause(t.Context(), a.config(), types.NamespacedName{Namespace: "onefire", Name: "brake"})
			if row.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, row.err)
			}
			require.Equal(t, row.want, got)
			require.Equal(t, "GET /api/v1/namespaces/onefire/configmaps/brake?timeout=5s", a.request.Method+" "+a.request.URL.RequestURI())
			require.True(t, a.closed)
		})
	}
	_, err := ReadPause(t.Context(), &rest.Config{Host: "::"}, types.NamespacedName{})
	require.ErrorContains(t, err, "making a Kubernetes client: ")
	require.EqualError(t, &pausedError{*onPause}, "ConfigMap onefire/brake pauses new RemediationRequests since 2026-01-17T12:00:00Z: ask Jane")
}
