package kube

import "time"

// Owners and the scope.
const (
	// maxDepth is how many owners are followed. The longest chain that
	// Kubernetes makes has two, and its end may have one of another kind. Each
	// step is one Get, five more where a pod is gone and its name is tried: so
	// an alert costs 24 Gets at most, and an event that of its alerts, less
	// what they have in common.
	maxDepth = 8
	// maxGets bounds the Gets under way from this process at once, half of
	// what the deduplication may have beside them.
	maxGets = 32
	// getTimeout bounds one Get, the wait for its turn included. It takes
	// milliseconds.
	getTimeout = 5 * time.Second
	// ownerRefusalPause is how long a 403 stands before it is asked for again and
	// believed: an API server that has just started refuses everything for a
	// tenth of a second, until it has read the roles.
	ownerRefusalPause = 2 * time.Second
	// maxObject bounds an answer, in bytes: etcd takes no object above 1.5 MiB. What
	// is larger for all the escapes in it is as if it had no owner.
	maxObject = 2 << 20
	// maxKind bounds the kind and the version in a reference, in bytes: what the
	// CRD takes of a target.
	maxKind = 253
	// maxObjectAge is how long an answer is good. Alerts on the pods of one fire come
	// within seconds, and so does a redelivery after a first failure.
	maxObjectAge = 30 * time.Second
	// maxObjects is how many objects are remembered: six for each of the 2,000 alerts
	// that one event may have, which is what a pod that is gone and its name take.
	// With less, an event that takes too long would find the same ones each time
	// that it comes. 400 bytes each, below 5 MB in all, or 17 with the longest names.
	maxObjects = 12_000
)

// Senders.
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
	// counted: they are maxKnownSenders at most, each asked for once at a time.
	maxReviews = 16
	// maxUnknown bounds the requests that wait until their sender is known, at
	// 30 KiB each. Those of remembered tokens do not count: strangers shut them not
	// out. A Trigger's first events wait for one review together.
	maxUnknown = 512
	// maxKnownSenders is how many good tokens are remembered, 200 bytes each. Each
	// dispatcher of a Trigger has one, and a new one each hour.
	maxKnownSenders = 256
	// maxReviewAnswer is how much of the API server's answer is read, in bytes: it
	// repeats the token.
	maxReviewAnswer = 64 << 10
	// maxCause is how much is said of the API server's own reason, in bytes.
	maxCause = 512
)

// Events.
const (
	// normalBurst and normalRate bound the Events of type Normal: so many at
	// once, and so many a second after that. Each is one write; in a storm the
	// alerts themselves make several hundred a second, and need them more.
	normalBurst = 50
	normalRate  = 10
	// warningBurst and warningRate bound those of type Warning, which a storm of
	// the others must not crowd out.
	warningBurst = 10
	warningRate  = 1
	// maxQueue bounds those that wait to be written: a burst of both types and
	// what comes while one write hangs. It is 200 KiB at most.
	maxQueue = 100
	// writeTimeout bounds one write. It takes a few milliseconds.
	writeTimeout = 5 * time.Second
	// FlushTimeout bounds the end, where its context does not: a full queue
	// takes less than a second.
	FlushTimeout = 5 * time.Second
	// failurePause is how long nothing is written after a write failed, and
	// eventRefusalPause after one that was forbidden: somebody must first grant it.
	failurePause      = 5 * time.Second
	eventRefusalPause = time.Minute
	// complainEvery is how often the log may say that Events are left out.
	complainEvery = time.Minute
	// maxNote is the longest note in bytes that the API takes.
	maxNote = 1024
	// maxEventAnswer is how much of an answer is read, so that its connection can be
	// used again; more is a few hundred bytes of metadata.
	maxEventAnswer = 64 << 10
)

// EventTTL is how long an API server keeps Events unless it is told otherwise
// (--event-ttl). For so long the name of what was told is taken.
const EventTTL = time.Hour
