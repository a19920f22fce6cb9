package inbound

import "time"

// Bounds are what a receiver keeps to.
type Bounds struct {
	// Body is the largest body of a request, and Bodies bounds all of them that
	// are held at once, in bytes.
	Body, Bodies int64
	// Requests bounds the requests under way at once.
	Requests int
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
	// DrainTimeout is the part of AnswerTimeout in which what is left of a
	// refused body may arrive, so that its connection can be used again.
	DrainTimeout = 2 * time.Second
	// retryAfter is what a sender is told to wait, in seconds: long enough for
	// a failing API server to get its breath.
	retryAfter = "5"
)
