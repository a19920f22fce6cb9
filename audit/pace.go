package audit

import (
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"
)

// pace bounds the posts under way, and the requests a second. The first bound halves when
// the sink is slow, has too much to do or fails, and the second when it says that there
// are too many requests. Both open again by a little with each quick success, as TCP does:
// processes that share a limit of the sink come to equal shares of it. After a failure no
// request begins for a while.
type pace struct {
	most, size float64
	used       int
	// requests bounds the requests a second; nil for no bound.
	requests *rate.Limiter
	// until is when the next request may begin, but for what requests says.
	until  time.Time
	pauses *backoff.ExponentialBackOff
	// narrowed, denied and failed are when that was last noted. A request that began
	// before says nothing new.
	narrowed, denied, failed time.Time
}

func newPace(most int, limited bool) pace {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = firstPause, maxPause
	p := pace{most: float64(most), size: float64(most), pauses: pauses}
	if limited {
		p.requests = rate.NewLimiter(maxRequests, maxRequests)
	}
	return p
}

// free tells whether one more post may be under way.
func (p *pace) free() bool { return p.used < int(p.size) }

// next is when the next request may begin.
func (p *pace) next(now time.Time) time.Time {
	if p.requests == nil {
		return p.until
	}
	missing := max(0, 1-p.requests.TokensAt(now))
	paced := now.Add(time.Duration(missing / float64(p.requests.Limit()) * float64(time.Second)))
	if p.until.After(paced) {
		return p.until
	}
	return paced
}

// reserve takes the next request's place among those of the second, and is when that is.
func (p *pace) reserve(now time.Time) time.Time {
	if p.requests == nil {
		return now
	}
	return now.Add(p.requests.ReserveN(now, 1).DelayFrom(now))
}

// allow bounds the requests a second. The sink counts them in its own way, so at most one
// second's are kept for later.
func (p *pace) allow(now time.Time, perSecond rate.Limit) {
	perSecond = min(max(perSecond, minRequests), maxRequests)
	p.requests.SetLimitAt(now, perSecond)
	p.requests.SetBurstAt(now, int(perSecond))
}

// quick notes an answer that came at once.
func (p *pace) quick(now time.Time) {
	p.size = min(p.most, p.size+1/p.size)
	if p.requests != nil {
		limit := p.requests.Limit()
		p.allow(now, limit+moreRequests/limit)
	}
	p.pauses.Reset()
}

// deny notes that the sink takes no more requests for now.
func (p *pace) deny(begun, now time.Time) {
	if p.requests == nil || !begun.After(p.denied) {
		return
	}
	p.denied = now
	p.allow(now, p.requests.Limit()/2)
	p.requests.AllowN(now, max(0, int(p.requests.TokensAt(now))))
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
