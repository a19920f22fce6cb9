package mapping

import "time"

// Sent is the latest of an event's own times: the event was not sent before it. It
// ignores times that [EventTime] does not believe and those of a clock that was never
// set, and is zero where no time is left.
func Sent(now time.Time, said ...time.Time) time.Time {
	var sent time.Time
	for _, s := range said {
		if at, dated := EventTime(s, now); dated && at.Year() >= firstYear && at.After(sent) {
			sent = at
		}
	}
	return sent
}

// TooOld tells whether an alert makes nothing new because its event is older than
// MaxEventAge. sent is the event's [Sent]. An alert that fires for days has an old
// start, so the start alone proves nothing: an event without a time is never too old.
// The start can only make an event younger, because no event is sent before its alert
// starts. A resolved alert makes nothing in any case, and its end is worth noting.
func (r Rules) TooOld(a Alert, sent, now time.Time) bool {
	if r.MaxEventAge == 0 || a.Resolved || sent.IsZero() {
		return false
	}
	return now.Sub(Sent(now, sent, a.StartsAt)) > r.MaxEventAge
}
