package audit

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// pace bounds the posts under way. The bound halves when the sink is slow, has
// too much to do or fails, and opens by one for each windowful of quick successes
// since, as TCP does. After a failure no post begins for a while.
type pace struct {
	most, size float64
	used       int
	// until is when the next post may begin.
	until  time.Time
	pauses *backoff.ExponentialBackOff
	// narrowed and failed are when that was last noted. A request that began
	// before says nothing new.
	narrowed, failed time.Time
}

func newPace(most int) pace {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = firstPause, maxPause
	return pace{most: float64(most), size: float64(most), pauses: pauses}
}

// free tells whether one more post may be under way.
func (p *pace) free() bool { return p.used < int(p.size) }

// quick notes an answer that came at once.
func (p *pace) quick() {
	p.size = min(p.most, p.size+1/p.size)
	p.pauses.Reset()
}

// slow notes that the sink has too much to do.
func (p *pace) slow(begun, now time.Time) {
	if begun.After(p.narrowed) {
		p.size, p.narrowed = max(1, p.size/2), now
	}
}

// fail notes that the sink did not take what was sent. pause is what the sink
// asked for, below zero if it did not.
func (p *pace) fail(begun, now time.Time, pause time.Duration) {
	p.slow(begun, now)
	if pause < 0 {
		if !begun.After(p.failed) {
			return
		}
		pause = p.pauses.NextBackOff()
	}
	p.failed = now
	if until := now.Add(pause); until.After(p.until) {
		p.until = until
	}
}
