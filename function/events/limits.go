package events

import "time"

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
	// refusalPause after one that was forbidden: somebody must first grant it.
	failurePause = 5 * time.Second
	refusalPause = time.Minute
	// complainEvery is how often the log may say that Events are left out.
	complainEvery = time.Minute
	// maxNote is the longest note in bytes that the API takes.
	maxNote = 1024
	// maxAnswer is how much of an answer is read, so that its connection can be
	// used again; more is a few hundred bytes of metadata.
	maxAnswer = 64 << 10
)

// TTL is how long an API server keeps Events unless it is told otherwise
// (--event-ttl). For so long the name of what was told is taken.
const TTL = time.Hour
