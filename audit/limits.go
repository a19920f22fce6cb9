package audit

import "time"

const (
	// attemptTimeout bounds one POST, so that a hanging sink still leaves time
	// for a second attempt within an event's deadline.
	attemptTimeout = 5 * time.Second
	// maxAttempts and maxElapsed bound the delivery of one audit event. Past
	// them the whole event goes back to the sender, which waits longer.
	maxAttempts = 4
	maxElapsed  = 12 * time.Second
	// firstPause and maxPause bound the jittered back-off between attempts.
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
	// maxConnections to the sink, all of them kept open between deliveries.
	maxConnections = 64
	idleTimeout    = 90 * time.Second
	// maxSessions is how many TLS sessions are kept to be resumed: one of the
	// sink, and one of a proxy on the way to it.
	maxSessions = 2
	// maxAnswer is how much of an answer is read, in bytes: enough for the
	// sink's own words, and so that the connection can be used again.
	maxAnswer = 8 << 10
	// maxNote is how much of an error is noted on a span, in bytes.
	maxNote = 512
	// tokenAge is how long a token is used before its file is read again; a
	// kubelet renews a token minutes before it expires.
	tokenAge = time.Minute
	// readyTimeout bounds the probe of the sink.
	readyTimeout = 2 * time.Second
)
