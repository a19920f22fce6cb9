package deadletters

import (
	"time"

	"onefire/function/receive"
)

// bounds are those of the receiver. The function takes bodies of 2 MiB and
// refuses larger ones, which then come here; a decoded, encoded and compressed
// event takes up to ten times its size, and the store has 256 MiB.
var bounds = receive.Bounds{Body: 4 << 20, Bodies: 8 << 20, Arriving: 512, Requests: 256, Timeout: 25 * time.Second}

const (
	// maxPlain is the largest event in bytes that is kept as it is, for kubectl
	// to show. An event of one alert has one to five thousand.
	maxPlain = 16 << 10
	// maxKept is the largest event in bytes as it is kept: the API server lets
	// the data of a ConfigMap have 1 MiB (etcd's limit on a request, with its
	// metadata, is 1.5 MiB). Ten thousand alerts fit, compressed.
	maxKept = 1 << 20
	// maxEvent is the largest event in bytes as structured JSON: a body, all of
	// it in base64, and a megabyte for its attributes. No larger one is kept.
	maxEvent = 4<<20*4/3 + 1<<20
	// maxText is the longest text of an annotation in bytes; all annotations of
	// an object may have 256 KiB.
	maxText = 1 << 10
	// maxLabel is the longest value of a label.
	maxLabel = 63

	// callTimeout bounds one call of the API server.
	callTimeout = 8 * time.Second
	// maxAnswer bounds its answer, in bytes: a page of a List, or one ConfigMap.
	maxAnswer = 16 << 20
	// pageSize is how many objects a page of a List has, and maxPages how many
	// pages are read: ten times as many objects as can be configured.
	pageSize = 500
	maxPages = 200
	// usageAge is how long the number of dead letters is believed, but for what
	// this process adds to it; fullAge is how long when there is no more room.
	// They bound the Lists that a storm of dead letters costs.
	usageAge = 10 * time.Second
	fullAge  = time.Second
	// readyTimeout bounds a readiness probe, and the List that a scrape may cost.
	readyTimeout = 3 * time.Second
	// stuckAfter is when a request under way means that the process is stuck:
	// none may take longer than 29 s.
	stuckAfter = 60 * time.Second

	// maxHeaders bounds the headers of a request in bytes: a Broker puts up to
	// 1 KiB of knativeerrordata in them beside the event's own attributes.
	maxHeaders = 64 << 10
	// headerTimeout bounds the time in which they must arrive, and idleTimeout
	// how long a connection may wait for the next request.
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// requestTimeout and answerTimeout are the server's own last resort, above
	// the receiver's bounds.
	requestTimeout = 30 * time.Second
	answerTimeout  = 40 * time.Second
	// stopTimeout is a little more than the longest that a request may take.
	stopTimeout = 30 * time.Second

	// replayTimeout bounds one POST of a replay: the function answers within
	// 29 s, and may first have to be started.
	replayTimeout = 60 * time.Second
	// connectTimeout bounds the making of a connection: a function that has first to be
	// started holds the request, not the connection.
	connectTimeout = 30 * time.Second
	// maxTries is how often an event is posted while the function is not
	// available; firstPause and maxPause are the waits between.
	maxTries   = 4
	firstPause = time.Second
	maxPause   = 10 * time.Second
	// maxUnavailable is how many events in a row may find the function
	// unavailable before the rest is left alone.
	maxUnavailable = 3
)
