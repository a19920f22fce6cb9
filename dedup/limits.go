package dedup

import "time"

const (
	// MaxEvents is how many event keys an object keeps, the newest: about
	// 4 KiB of status. A redelivery that comes later counts again. One event
	// with more alerts of a fingerprint keeps all of its keys until the next.
	MaxEvents = 128
	// maxRounds bounds the rounds of one settlement. Each lost round means
	// that another writer won it; a hundred losses in a row is an outage.
	maxRounds = 100
	// maxLooks bounds the attempts to look after a create.
	maxLooks = 4
	// minPause and maxPause bound the wait after a lost round. The shortest
	// is about one API call.
	minPause = 2 * time.Millisecond
	maxPause = 100 * time.Millisecond
	// callTimeout bounds one API call, so that a stuck API server leaves time
	// for an answer within the event's deadline.
	callTimeout = 10 * time.Second
	// maxCalls bounds the API calls under way from this process at once, so
	// that a storm does not crowd out others' flow in the control plane.
	maxCalls = 64
)
