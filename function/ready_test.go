package function

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
)

func TestReadyAsksBothAndRemembersForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		asked := 0
		var kube, sink error
		f.dedup.ready = func() error { asked++; return kube }
		f.sink.ready = func() error { return sink }
		ready := func() bool { ok, _ := f.Ready(t.Context()); return ok }

		require.True(t, ready())
		require.Empty(t, f.log.String())
		kube = errors.New("down")
		require.True(t, ready(), "the answer stands for a moment")
		require.Equal(t, 1, asked)
		pass(readyAge + time.Second)
		require.False(t, ready())
		require.Contains(t, f.log.String(), `"msg":"not ready","error":"down"`)
		kube, sink = nil, errors.New("down")
		pass(readyAge + time.Second)
		require.False(t, ready())
		f.service.pipeline.audit.mode = config.AuditBestEffort
		pass(readyAge + time.Second)
		require.True(t, ready(), "best effort does not need the sink")
	})
}

func TestAStopEndsTheWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.service.pipeline.requests = &stuckService{}
		f.service.cool = f.warm(t.Context(), f.service)
		begun := time.Now()
		require.NoError(t, f.Stop(t.Context()))
		require.Zero(t, time.Since(begun))
		require.Contains(t, f.log.String(), `"error":"context canceled"`, "it has ended")
	})
}

func TestAStopEndsWhatDeduplicationDoes(t *testing.T) {
	f := newFixture()
	require.NoError(t, f.Stop(t.Context()))
	require.True(t, f.dedup.closed)
}

func TestWarmingUpAsksBothAtOnceAndAnswersTheFirstProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		var asked atomic.Int64
		slow := func() error {
			asked.Add(1)
			pass(time.Second)
			return nil
		}
		f.dedup.ready, f.sink.ready = slow, slow
		// The context of a start may end with the start.
		starting, started := context.WithCancel(t.Context())
		cool := f.warm(starting, f.service)
		started()
		synctest.Wait()
		require.EqualValues(t, 2, asked.Load(), "neither waits for the other")
		pass(time.Second)
		synctest.Wait()

		ok, err := f.Ready(t.Context())
		require.NoError(t, err)
		require.True(t, ok)
		require.EqualValues(t, 2, asked.Load(), "the probe is answered by what was seen while warming up")
		cool()
	})
}
