package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressIsSaidNowAndThen(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to := from.Add(100 * time.Hour)
	now := from
	for line, want := range map[bool]string{
		true: "onefire: read up to 2026-01-03T02:00:00Z, 50 %, 7 label sets\nonefire: read up to 2026-01-05T04:00:00Z, 100 %, 1 label set\n",
		false: "\ronefire: read up to 2026-01-03T02:00:00Z, 50 %, 7 label sets\x1b[K" +
			"\ronefire: read up to 2026-01-05T04:00:00Z, 100 %, 1 label set\x1b[K\r\x1b[K",
	} {
		every := map[bool]time.Duration{true: progressEveryLine, false: progressEvery}[line]
		var b bytes.Buffer
		p := newProgress(&b, from, to, func() time.Time { return now })
		p.line = line
		now = now.Add(every - 1)
		p.done(from.Add(time.Hour), 1)
		now = now.Add(1)
		p.done(from.Add(50*time.Hour), 7)
		now = now.Add(every - 1)
		p.done(from.Add(51*time.Hour), 8)
		now = now.Add(1)
		p.done(to, 1)
		p.end()
		require.Equal(t, want, b.String())
	}
}

func TestALineIsOverwrittenOnADeviceOnly(t *testing.T) {
	require.True(t, newStatusLine(&bytes.Buffer{}).line)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	require.True(t, newStatusLine(file).line, "a file")
	require.NoError(t, file.Close())
	require.True(t, newStatusLine(file).line, "what one cannot tell")
	device, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer device.Close()
	require.False(t, newStatusLine(device).line, "a terminal is a device")
}
