package audit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A caller that does not wait is not held up, and its events are sent.
func TestWhatIsSentIsOnItsWayBeforeAnybodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		s, events := d.process(), entries(2)
		begun := time.Now()
		first := s.Send(t.Context(), events[:1])
		second := s.Send(t.Context(), events[1:])
		require.Zero(t, time.Since(begun))
		synctest.Wait()
		require.Equal(t, []string{"POST", "POST"}, d.seen())
		requireAll(t, first())
		requireAll(t, second())
	})
}
