package owner

import "time"

const (
	// maxDepth is how many owners are followed. The longest chain that
	// Kubernetes makes has two, and its end may have one of another kind. Each
	// step is one Get, five more where a pod is gone and its name is tried: so
	// an alert costs 24 Gets at most, and an event that of its alerts, less
	// what they have in common.
	maxDepth = 8
	// maxCalls bounds the Gets under way from this process at once, half of
	// what the deduplication may have beside them.
	maxCalls = 32
	// callTimeout bounds one Get, the wait for its turn included. It takes
	// milliseconds.
	callTimeout = 5 * time.Second
	// refusalPause is how long a 403 stands before it is asked for again and
	// believed: an API server that has just started refuses everything for a
	// tenth of a second, until it has read the roles.
	refusalPause = 2 * time.Second
	// maxAnswer bounds an answer, in bytes: etcd takes no object above 1.5 MiB. What
	// is larger for all the escapes in it is as if it had no owner.
	maxAnswer = 2 << 20
	// maxKind bounds the kind and the version in a reference, in bytes: what the
	// CRD takes of a target.
	maxKind = 253
	// maxAge is how long an answer is good. Alerts on the pods of one fire come
	// within seconds, and so does a redelivery after a first failure.
	maxAge = 30 * time.Second
	// maxKnown is how many objects are remembered: six for each of the 2,000 alerts
	// that one event may have, which is what a pod that is gone and its name take.
	// With less, an event that takes too long would find the same ones each time
	// that it comes. 400 bytes each, below 5 MB in all, or 17 with the longest names.
	maxKnown = 12_000
)
