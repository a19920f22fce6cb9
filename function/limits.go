package function

import (
	"time"

	"onefire/function/receive"
)

// bounds are the bounds of all requests.
var bounds = receive.Bounds{Body: maxBody, Bodies: maxBodies, Arriving: maxArriving, Requests: maxRequests, Timeout: eventTimeout}

const (
	// maxBody is the largest request body in bytes. 2,000 alerts as Alertmanager writes
	// them take about 1.2 MB.
	maxBody = 2 << 20
	// maxBodies bounds the bytes of all bodies in memory. A decoded event takes up to ten
	// times its size, and the function has 256 MiB.
	maxBodies = 8 << 20
	// memoryLimit is the limit for the garbage collector if no container has one, in
	// bytes: about its share of 256 MiB, for which the bounds in this file are made.
	memoryLimit = 200 << 20
	// gcPercent is GOGC: how much garbage may accumulate, in percent of the memory in
	// use, but at least 4 MB times this value, which is what a small function has. Go's
	// own value collects twice as often. With a higher value, an idle function would have
	// more than 30 MB.
	gcPercent = 200
	// maxBatch is how many events one batch may hold.
	maxBatch = 100
	// maxAttribute is the longest source or id of a CloudEvent in bytes, because both are
	// passed on in headers.
	maxAttribute = 2 << 10
	// maxNoteSource is how many characters of an event's source a Kubernetes Event's note
	// contains. The rest of the note is for other texts.
	maxNoteSource = 200
	// maxArriving bounds the requests whose bodies are still arriving, at 30 KiB each. At
	// the bound, slow ones are cut off.
	maxArriving = 1024
	// maxRequests bounds the requests that are handled at once. A request counts only
	// from when its whole body has arrived and, if senders are checked, its sender is
	// known.
	maxRequests = 512
	// maxParallel bounds the fingerprints of one event that are settled at once, which is
	// also how many can share a List. maxSlots bounds them over all events, because each
	// needs a goroutine of 20 KiB. An event with one alert needs only the goroutine of
	// its request.
	maxParallel = 128
	maxSlots    = 2048
	// maxSpanAlerts is how many alerts one span describes, at about 1 KiB each; the log
	// has all of them. Up to 2,048 spans wait in memory while no collector accepts them.
	maxSpanAlerts = 8
	// eventTimeout bounds one request, including its body. Knative's data plane and
	// func's server give up after 30 s.
	eventTimeout = 25 * time.Second
	// targetTimeout bounds the search for the targets of all of an event's alerts. The
	// rest of the event's time is for settling the alerts whose targets were found.
	targetTimeout = 10 * time.Second
	// maxLate bounds the background deliveries of audit events (AUDIT_MODE=best-effort),
	// each of one event: as many as requests can run at once. lateTimeout bounds one of
	// them as the event's own deadline would.
	maxLate     = maxRequests
	lateTimeout = eventTimeout
	// lossPause is the least time between two log lines about lost audit events.
	lossPause = time.Minute
	// maxFailureAge is up to which age of an event the audit event of a failure has the
	// event's time: DataStorage rejects times older than seven days.
	maxFailureAge = 6 * 24 * time.Hour
	// stuckAfter is the age of a running request from which on the process counts as
	// stuck: no request can take this long within the other bounds.
	stuckAfter = 60 * time.Second
	// historyPause is the least time between two log lines about the long past of one
	// fingerprint. maxHistories is how many fingerprints are remembered for that.
	historyPause = time.Hour
	maxHistories = 1024
	// brakePause is the least time between two log lines about a brake that cannot be
	// read. While alerts come, it is read once a second.
	brakePause = time.Minute
	// maxReminders is how many objects are remembered on which a Kubernetes Event said
	// that nothing was made: one brake, and one quota in each namespace.
	maxReminders = 1024
	// gaugeTimeout bounds the reading of the brake for a metric, because the other
	// metrics wait for it.
	gaugeTimeout = time.Second
	// refusalPause is the least time between two log lines about senders that are not
	// admitted.
	refusalPause = time.Second
	// readyTimeout bounds one readiness probe. readyAge is how long its result is used
	// for further probes.
	readyTimeout = 3 * time.Second
	readyAge     = 2 * time.Second
)
