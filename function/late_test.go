package function

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/config"
	"onefire/function/telemetry"
)

func TestBestEffortDelaysNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.service.pipeline.audit.mode = config.AuditBestEffort
		f.sink.before = func() { pass(12 * time.Second) } // The sink hangs, for as long as it may.
		begun := time.Now()
		requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A")))))
		require.Zero(t, time.Since(begun))
		require.Empty(t, f.sink.ids())

		require.NoError(t, f.Stop(t.Context()))
		require.Equal(t, 12*time.Second, time.Since(begun), "a stop waits for it")
		require.Len(t, f.sink.ids(), 2)
	})
}

func TestAStopDoesNotWaitForeverForWhatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.service.pipeline.audit.mode = config.AuditBestEffort
		release := make(chan struct{})
		f.sink.before = func() { <-release }
		requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A")))))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, f.Stop(ctx), context.DeadlineExceeded)
		close(release)
		synctest.Wait()
	})
}

func TestWhatIsLostIsCountedAndTheLogSaysItOnceAMinute(t *testing.T) {
	f := newFixture()
	f.service.pipeline.audit.mode = config.AuditBestEffort
	f.sink.fail = func(audit.Event) error { return errors.New("the sink is down") }
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	f.service.observer.metrics, err = newMetrics(watch.Meter())
	require.NoError(t, err)
	now := noon
	f.clock(func() time.Time { return now })
	serve := func(id string) {
		requireStatus(t, http.StatusOK, f.serve(binary(id, webhook(alert("firing", "alertname=A"), alert("firing", "alertname=B")))))
		require.NoError(t, f.service.pipeline.audit.finish(t.Context()))
	}
	serve("1")
	now = now.Add(lossPause - time.Second)
	serve("2")
	require.Equal(t, 1, strings.Count(f.log.String(), "audit event lost"))
	now = now.Add(time.Second)
	serve("3")
	require.Equal(t, 2, strings.Count(f.log.String(), "audit event lost"))
	require.Contains(t, f.log.String(), `"unlogged":7`)
	require.Contains(t, f.log.String(), `"type":"gateway.signal.received","correlation_id":"rr-A"`)
	require.Contains(t, scraped(t, address), "onefire_audit_events_total{result=\"lost\"} 12\n")
	require.NoError(t, watch.Stop(t.Context()))
}

func TestWhatIsLateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.service.pipeline.audit.mode = config.AuditBestEffort
		release := make(chan struct{})
		f.sink.before = func() { <-release }
		for i := range maxLate + 1 {
			requireStatus(t, http.StatusOK, f.serve(binary(strconv.Itoa(i), webhook(alert("firing", "alertname=A")))))
		}
		require.Contains(t, f.log.String(), errManyLate.Error())
		unlogged, _ := f.service.observer.losses.Next(noon.Add(2*lossPause), lossPause)
		require.Equal(t, 1, unlogged, "both audit events of the alert are lost")
		close(release)
		require.NoError(t, f.Stop(t.Context()))
		require.Len(t, f.sink.ids(), 2*maxLate)
	})
}

func TestAPanicThatIsLateEndsNothing(t *testing.T) {
	f := newFixture()
	f.service.pipeline.audit.mode = config.AuditBestEffort
	f.sink.before = func() { panic("the sink") }
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A")))))
	require.NoError(t, f.Stop(t.Context()))
	require.Contains(t, f.log.String(), `"panic"`)
}
