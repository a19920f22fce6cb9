package e2e

import "time"

const (
	// settled bounds how long an event may take until everything of it is
	// there: the Broker's retries take up to 128 s, and the last try 100 s.
	settled = 5 * time.Minute
	// zero bounds how long it takes until a quiet function has no pods:
	// Knative's stable window is 60 s, its grace period 30 s, and a pod ends
	// within its 90 s.
	zero = 4 * time.Minute
	// look is how often something is looked at that changes.
	look = 100 * time.Millisecond
	// ask bounds a single request that waits for nothing.
	ask = 10 * time.Second
	// forgotten is when no alert stands on what was counted before: the rules
	// of knative/observability look 10 minutes back.
	forgotten = 12 * time.Minute
	// quiet is how long nothing may happen for it to count as nothing.
	quiet = 5 * time.Second
	// resend is the pause before an event that the Broker refused comes again.
	resend = 500 * time.Millisecond
	// senders is how many events are under way at the same time in a burst.
	senders = 16
)
