package kube

import "time"

// Owners and the scope.
const (
	// maxDepth is how many owners are followed. The longest chain that Kubernetes makes
	// has two, and its end may have one of another kind. Each step is one Get, and five
	// more if a pod is gone and its name is tried. So an alert takes at most 24 Gets, and
	// an event the Gets of its alerts, less those that they share.
	maxDepth = 8
	// maxGets bounds the concurrent Gets of this process: half of the calls that the
	// deduplication may make meanwhile.
	maxGets = 32
	// getTimeout bounds one Get, including the wait for a slot. A Get takes milliseconds.
	getTimeout = 5 * time.Second
	// ownerRefusalPause is the time after which a 403 is asked for again, and is believed
	// the second time: an API server that has just started refuses everything for a tenth
	// of a second, until it has read the roles.
	ownerRefusalPause = 2 * time.Second
	// maxObject bounds an answer, in bytes: etcd accepts no object above 1.5 MiB. An
	// object that is larger because of escapes counts as one without an owner.
	maxObject = 2 << 20
	// maxKind bounds the kind and the version in a reference, in bytes: as in the CRD's
	// schema for a target.
	maxKind = 253
	// maxObjectAge is how long an answer is used. Alerts on the pods of one fire come
	// within seconds, and so does a redelivery after a first failure.
	maxObjectAge = 30 * time.Second
	// maxObjects is how many objects are remembered: six for each of the 2,000 alerts of
	// the largest event, which is what a pod that is gone and its name take. With fewer,
	// an event that takes too long would ask for the same objects again with each
	// redelivery. An object takes 400 bytes: below 5 MB in all, or 17 MB with the longest
	// names.
	maxObjects = 12_000
)

// Senders.
const (
	// maxToken is the longest token in bytes. A service account's token has 1 to 2 KiB.
	maxToken = 8 << 10
	// reviewAge is how long a positive answer is used, and so how long a revoked token
	// still works.
	reviewAge = 30 * time.Second
	// reviewTimeout bounds the wait for a review, including the wait for a slot. An event
	// has 25 s in all.
	reviewTimeout = 10 * time.Second
	// maxReviews bounds the concurrent reviews of unknown tokens: a sender with invented
	// tokens must not displace the calls of others. Reviews of known tokens are not
	// counted, because there are at most maxKnownSenders of them.
	maxReviews = 16
	// maxUnknown bounds the requests that wait for the review of an unknown token, at 30
	// KiB each. Requests with known tokens do not count, so strangers cannot shut them
	// out. The first events of a Trigger wait for one review together.
	maxUnknown = 512
	// maxKnownSenders is how many valid tokens are remembered, at 200 bytes each. Each
	// Trigger dispatcher has one, and a new one each hour.
	maxKnownSenders = 256
	// maxReviewAnswer is how much of the API server's answer is read, in bytes. The
	// answer repeats the token.
	maxReviewAnswer = 64 << 10
	// maxCause is how much of the API server's reason is passed on, in bytes.
	maxCause = 512
)

// Kubernetes Events.
const (
	// normalBurst and normalRate bound the Kubernetes Events of type Normal: so many at
	// once, and then so many a second. Each is one write. In a storm the alerts need
	// several hundred writes a second, and they come first.
	normalBurst = 50
	normalRate  = 10
	// warningBurst and warningRate bound those of type Warning separately, so that a
	// storm of type Normal does not displace them.
	warningBurst = 10
	warningRate  = 1
	// maxQueue bounds the Kubernetes Events that wait to be written: a burst of both
	// types, and those that come during one slow write. They take at most 200 KiB.
	maxQueue = 100
	// writeTimeout bounds one write, which takes a few milliseconds.
	writeTimeout = 5 * time.Second
	// FlushTimeout bounds [Recorder.Close] if its context does not. A full queue takes
	// less than a second.
	FlushTimeout = 5 * time.Second
	// failurePause is how long nothing is written after a failed write. eventRefusalPause
	// is the same after a forbidden write, because somebody must first grant the
	// permission.
	failurePause      = 5 * time.Second
	eventRefusalPause = time.Minute
	// complainEvery is the least time between two log lines about Kubernetes Events that
	// were left out.
	complainEvery = time.Minute
	// maxNote is the longest note that the API accepts, in bytes.
	maxNote = 1024
	// maxEventAnswer is how much of an answer is read, so that its connection can be
	// reused. The metadata in it takes a few hundred bytes.
	maxEventAnswer = 64 << 10
)

// EventTTL is how long an API server keeps Kubernetes Events by default (--event-ttl).
// During that time no second one can have the same name.
const EventTTL = time.Hour
