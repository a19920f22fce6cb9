package receive

import "time"

// Bounds are the bounds of a receiver.
type Bounds struct {
	// Body is the largest body of a request. Bodies bounds all bodies in memory, in
	// bytes.
	Body, Bodies int64
	// Arriving bounds the requests whose bodies are arriving, and Requests those that are
	// handled. A request counts as handled only when its whole body has arrived.
	Arriving, Requests int
	// Timeout bounds one request, including its body. Knative's data plane gives up after
	// 30 s.
	Timeout time.Duration
}

const (
	// maxReason is the longest reason in an answer, in bytes. A Broker keeps it with a
	// dead letter.
	maxReason = 1 << 10
	// BodyTimeout bounds the time in which a body must arrive.
	BodyTimeout = 10 * time.Second
	// AnswerTimeout bounds the sending of an answer.
	AnswerTimeout = 4 * time.Second
	// LingerTimeout is how long a connection stays open that ends with its answer while
	// its sender has not sent everything. An answer can be lost if the connection closes
	// at once. The connection holds no other resources.
	LingerTimeout = 500 * time.Millisecond
	// slowAfter is how long a body may come at any pace. slowPace is how many bytes of it
	// must have come for each second, so that it is not cut off for others. A body of a
	// few KiB takes milliseconds. One of 2 MiB must come three times as fast anyway to
	// arrive within BodyTimeout.
	slowAfter = time.Second
	slowPace  = 64 << 10
	// hopelessAfter is from which age a slow body is cut off if others need its bytes. On
	// a busy machine all large bodies come slowly, and would cut off each other before
	// one of them is complete. A body that is still slow at this age is rarely complete
	// within BodyTimeout.
	hopelessAfter = BodyTimeout / 2
	// retryAfter is the Retry-After header of a 503, in seconds. An API server that fails
	// needs some time to recover.
	retryAfter = "5"
	// memoryShare is the part of a container's memory that is the limit of the garbage
	// collector, unless GOMEMLIMIT is set. The rest is for memory that Go does not count:
	// the pages of the binary and the kernel's buffers of connections.
	memoryShare = 0.8
	// defaultGCPercent is Go's default of GOGC.
	defaultGCPercent = 100
)
