package function

import (
	"time"

	"onefire/function/receive"
)

// bounds are those of the requests.
var bounds = receive.Bounds{Body: maxBody, Bodies: maxBodies, Arriving: maxArriving, Requests: maxRequests, Timeout: eventTimeout}

const (
	// maxBody is the largest request body in bytes. 2,000 alerts as
	// Alertmanager writes them are about 1.2 MB.
	maxBody = 2 << 20
	// maxBodies bounds the bytes of all bodies held at once: a decoded event
	// takes up to ten times its size, and the function has 256 MiB.
	maxBodies = 8 << 20
	// memoryLimit is what the garbage collector keeps to where no container has a limit,
	// in bytes: about its share of the 256 MiB that the bounds here are made for.
	memoryLimit = 200 << 20
	// gcPercent is how much garbage may pile up, in percent of what is in use;
	// never less than 4 MB times this, which is what a small function has. Go
	// itself collects twice as often. More than this would leave
	// an idle function with more than 30 MB.
	gcPercent = 200
	// maxBatch is how many events one batch may hold.
	maxBatch = 100
	// maxAttribute is the longest CloudEvents source or id in bytes: they
	// travel on in headers.
	maxAttribute = 2 << 10
	// maxNoteSource is how much of an event's source the note of a Kubernetes Event
	// says, in characters: it has room for what else it says then.
	maxNoteSource = 200
	// maxArriving bounds the requests whose bodies are still to come, at 30 KiB
	// each. When it is reached, those that come slowly make room.
	maxArriving = 1024
	// maxRequests bounds the requests that are handled at once. None counts before
	// its sender is known, where that is asked for, and its whole body is there.
	maxRequests = 512
	// maxParallel bounds the fingerprints of one event that are settled at
	// once: so many share a List. maxSlots bounds them over all events, by the memory of a goroutine
	// that waits for an answer, 20 KiB; an event with one alert needs no other
	// than its request's.
	maxParallel = 128
	maxSlots    = 2048
	// maxSpanAlerts is how many alerts one span tells of, at about 1 KiB each; the log
	// has all of them. While no collector takes spans 2,048 wait in memory.
	maxSpanAlerts = 8
	// eventTimeout bounds one request, its body included: Knative's data plane
	// and func's server give up after 30 s.
	eventTimeout = 25 * time.Second
	// targetTimeout bounds finding the targets of all of an event's alerts, so that
	// time is left to settle those that were found.
	targetTimeout = 10 * time.Second
	// maxLate bounds the deliveries of audit events that no answer waits for
	// (AUDIT_MODE=best-effort), each of one event: as many as there are requests at
	// once. lateTimeout bounds one of them as an event's own deadline would.
	maxLate     = maxRequests
	lateTimeout = eventTimeout
	// lossPause is the least time between two lines in the log about audit events that
	// are lost.
	lossPause = time.Minute
	// maxFailureAge is how old an event may be whose time the audit of a failure
	// has: DataStorage refuses what is older than seven days.
	maxFailureAge = 6 * 24 * time.Hour
	// stuckAfter is when a request under way means that the process is stuck:
	// no bound above lets one last this long.
	stuckAfter = 60 * time.Second
	// historyPause is the least time between two lines in the log about the long past
	// of one fingerprint, and maxHistories how many are remembered for that.
	historyPause = time.Hour
	maxHistories = 1024
	// brakePause is the least time between two lines in the log about a brake that cannot
	// be read: that is tried once a second while alerts come.
	brakePause = time.Minute
	// maxReminders is how many objects are remembered that an Event was recorded on because
	// nothing was made: a brake, and a quota in each namespace.
	maxReminders = 1024
	// gaugeTimeout bounds the reading of the brake for a metric: all others wait for it.
	gaugeTimeout = time.Second
	// refusalPause is the least time between two lines in the log about senders
	// that are not let in.
	refusalPause = time.Second
	// readyTimeout bounds one readiness probe, and readyAge is how long its
	// result stands for further probes.
	readyTimeout = 3 * time.Second
	readyAge     = 2 * time.Second
)
