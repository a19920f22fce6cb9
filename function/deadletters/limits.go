package deadletters

import (
	"time"

	"onefire/function/receive"
)

// bounds are the bounds of the receiver. The function rejects bodies above 2 MiB, and
// these then come here. A decoded, encoded and compressed event takes up to ten times its
// size, and the store has 256 MiB.
var bounds = receive.Bounds{Body: 4 << 20, Bodies: 8 << 20, Arriving: 512, Requests: 256, Timeout: 25 * time.Second}

const (
	// maxPlain is the largest event, in bytes, that is kept uncompressed, so that kubectl
	// shows it. An event with one alert takes one to five thousand bytes.
	maxPlain = 16 << 10
	// maxKept is the largest size of a kept event, in bytes: the API server accepts 1 MiB
	// of data in a ConfigMap (etcd's limit for a request, with metadata, is 1.5 MiB). Ten
	// thousand alerts fit, compressed.
	maxKept = 1 << 20
	// maxEvent is the largest event as structured JSON, in bytes: a body that is base64
	// as a whole, and a megabyte for its attributes.
	maxEvent = 4<<20*4/3 + 1<<20
	// maxText is the longest text of an annotation, in bytes. All annotations of an
	// object may have 256 KiB.
	maxText = 1 << 10
	// maxLabel is the longest value of a label.
	maxLabel = 63

	// callTimeout bounds one call of the API server.
	callTimeout = 8 * time.Second
	// maxAnswer bounds an answer of the API server, in bytes: a page of a List, or one
	// ConfigMap.
	maxAnswer = 16 << 20
	// pageSize is how many objects a page of a List has, and maxPages how many pages are
	// read: ten times as many objects as can be configured.
	pageSize = 500
	maxPages = 200
	// usageAge is how long the number of dead letters is used before they are counted
	// again; this process adds those that it keeps meanwhile. fullAge is the same when
	// there is no room. Both bound the Lists in a storm of dead letters.
	usageAge = 10 * time.Second
	fullAge  = time.Second
	// readyTimeout bounds a readiness probe, and the List of a scrape.
	readyTimeout = 3 * time.Second
	// stuckAfter is the age of a running request from which on the process counts as
	// stuck: a request takes at most 29 s.
	stuckAfter = 60 * time.Second

	// maxHeaders bounds the headers of a request in bytes: a Broker adds up to 1 KiB of
	// knativeerrordata to the event's own attributes.
	maxHeaders = 64 << 10
	// headerTimeout bounds the time in which headers must arrive, and idleTimeout the
	// time until the next request of a connection.
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// requestTimeout and answerTimeout are the server's own bounds, above those of the
	// receiver.
	requestTimeout = 30 * time.Second
	answerTimeout  = 40 * time.Second
	// stopTimeout is a little more than the longest time of a request.
	stopTimeout = 30 * time.Second

	// replayTimeout bounds one POST of a replay: the function answers within 29 s, and
	// may have to be started first.
	replayTimeout = 60 * time.Second
	// connectTimeout bounds the making of a connection. It needs no time for a start of
	// the function, because Knative then holds the request and not the connection.
	connectTimeout = 30 * time.Second
	// maxTries is how often an event is posted while the function is unavailable;
	// firstPause and maxPause bound the waits between.
	maxTries   = 4
	firstPause = time.Second
	maxPause   = 10 * time.Second
	// maxUnavailable is after how many events in a row a replay stops because the
	// function is unavailable.
	maxUnavailable = 3
)
