package sender

import "time"

const (
	// maxToken is the longest token in bytes. One of a service account has 1 to
	// 2 KiB.
	maxToken = 8 << 10
	// reviewAge is how long a good answer stands: as long as a token that was
	// taken back is still let in.
	reviewAge = 30 * time.Second
	// reviewTimeout bounds the wait for an answer, that for a place included.
	// An event has 25 s in all.
	reviewTimeout = 10 * time.Second
	// maxReviews bounds the calls under way at once: who shows made-up tokens
	// must not crowd out others' calls. Those for remembered tokens are not
	// counted: they are maxKnown at most, each asked for once at a time.
	maxReviews = 16
	// maxUnknown bounds the requests that wait until their sender is known, at
	// 30 KiB each. Those of remembered tokens do not count: strangers shut them not
	// out. A Trigger's first events wait for one review together.
	maxUnknown = 512
	// maxKnown is how many good tokens are remembered, 200 bytes each. Each
	// dispatcher of a Trigger has one, and a new one each hour.
	maxKnown = 256
	// maxAnswer is how much of the API server's answer is read, in bytes: it
	// repeats the token.
	maxAnswer = 64 << 10
	// maxCause is how much is said of the API server's own reason, in bytes.
	maxCause = 512
)
