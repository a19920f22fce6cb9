package receive

import "time"

// Bounds are what a receiver keeps to.
type Bounds struct {
	// Body is the largest body of a request, and Bodies bounds all of them that
	// are held at once, in bytes.
	Body, Bodies int64
	// Arriving bounds the requests whose bodies are still to come, Requests those
	// that are handled at once. Who has not sent a whole body is in nobody's way.
	Arriving, Requests int
	// Timeout bounds one request, its body included. Knative's data plane gives
	// up after 30 s.
	Timeout time.Duration
}

const (
	// maxReason is the longest reason in an answer, in bytes: a Broker keeps it
	// with a dead letter.
	maxReason = 1 << 10
	// BodyTimeout bounds the time in which a body must arrive.
	BodyTimeout = 10 * time.Second
	// AnswerTimeout bounds the sending of an answer.
	AnswerTimeout = 4 * time.Second
	// LingerTimeout is how long a connection stays that ends with its answer while
	// its sender has not sent everything: an answer that is followed by an end at
	// once can be lost on its way. It holds nothing but the connection.
	LingerTimeout = 500 * time.Millisecond
	// slowAfter is how long a body may come as slowly as it likes, and slowPace what
	// must have come of it in each second, in bytes, for it to go on while there is
	// no room for others. A body of a few KiB takes milliseconds, one of 2 MiB must
	// come three times as fast anyway to be there within BodyTimeout.
	slowAfter = time.Second
	slowPace  = 64 << 10
	// hopelessAfter is how long a body may come that slowly when others need its
	// bytes. On a busy machine large bodies come slowly too, and would take each
	// other's room before one of them is there; what has come no further by then
	// seldom is there within BodyTimeout.
	hopelessAfter = BodyTimeout / 2
	// retryAfter is what a sender is told to wait, in seconds: long enough for
	// a failing API server to get its breath.
	retryAfter = "5"
	// memoryShare is the part of a container's memory that the garbage collector keeps
	// to where it can, unless GOMEMLIMIT says otherwise. The rest is for what it does not
	// count: the binary's own pages and the kernel's buffers of connections.
	memoryShare = 0.8
	// defaultGCPercent is Go's own GOGC.
	defaultGCPercent = 100
)
