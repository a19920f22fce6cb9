package function

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/dedup"
	"onefire/function/telemetry"
)

func TestALongPastIsCountedEachTimeAndLoggedOnceAnHour(t *testing.T) {
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	defer func() { require.NoError(t, watch.Stop(t.Context())) }()
	var log bytes.Buffer
	now := time.Unix(0, 0)
	o := &observer{log: slog.New(slog.NewJSONHandler(&log, nil)), now: func() time.Time { return now }}
	o.metrics, err = newMetrics(watch.Meter())
	require.NoError(t, err)
	for _, past := range []dedup.LongPast{
		{Namespace: "onefire", Fingerprint: "abc", Objects: 600},
		{Namespace: "onefire", Fingerprint: "abc", Objects: 601, Paged: true},
		{Namespace: "onefire", Fingerprint: "def", Objects: 513},
	} {
		o.longPast(past)
	}
	now = now.Add(historyPause)
	o.longPast(dedup.LongPast{Namespace: "onefire", Fingerprint: "abc", Objects: 602})
	require.Contains(t, scraped(t, address), "onefire_history_long_total 4\n")
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 3)
	require.Contains(t, lines[0], `"namespace":"onefire","fingerprint":"abc","remediationRequests":600,"pages":false`)
	require.Contains(t, lines[1], `"fingerprint":"def"`)
	require.Contains(t, lines[2], `"remediationRequests":602`)
	for i := range 2 * maxHistories {
		o.longPasts.due(dedup.LongPast{Fingerprint: strings.Repeat("a", i)}, now)
	}
	require.LessOrEqual(t, len(o.longPasts.logged), maxHistories)
}

func TestTheLogSaysOnceThatAdmissionChangesObjects(t *testing.T) {
	f := newFixture()
	f.service.observer.altered("ns", "rr-1", []string{"onefire/event"})
	f.service.observer.altered("ns", "rr-2", []string{"onefire/event"})
	require.Equal(t, 1, strings.Count(f.log.String(), "\n"))
	require.Contains(t, f.log.String(), `"object":"ns/rr-1","changed":["onefire/event"]`)
}
