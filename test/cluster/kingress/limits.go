package kingress

import "time"

const (
	// retryPause is the time before a failed report is tried again.
	retryPause = 200 * time.Millisecond
	// headerTimeout is how long a request's headers may take.
	headerTimeout = 10 * time.Second
	// dialTimeout is how long a connection to a Service may take.
	dialTimeout = 5 * time.Second
	// percents is the sum of the shares of a traffic split.
	percents = 100
)
