package bench

import "time"

const (
	// startTimeout bounds the start of any process; a whole API server takes
	// ten seconds.
	startTimeout = 2 * time.Minute
	// stopTimeout is a little more than the function takes at most to drain.
	stopTimeout = 35 * time.Second
	// callTimeout bounds one request of the benchmark. The function answers
	// within 29 s.
	callTimeout = 30 * time.Second
	// scenarioTimeout bounds one scenario with its preparation and checks.
	scenarioTimeout = 10 * time.Minute
	// preloadTimeout bounds the filling of one namespace.
	preloadTimeout = 60 * time.Minute
	// pollEvery is how often a wait looks.
	pollEvery = 20 * time.Millisecond
	// maxOpen bounds the requests under way in open loops and bursts. The
	// function takes 512.
	maxOpen = 512
	// maxOperations bounds one measurement whatever its rate, and with it the
	// latencies that are kept.
	maxOperations = 200_000
	// maxAnswer is how much of an answer an error says, in bytes.
	maxAnswer = 300
	// large is how many objects make a namespace in which one round is enough: it
	// takes as long as all others together.
	large = 100_000
	// binaries is the directory of onefire, onefire-local, kube-apiserver and etcd, in
	// which make puts them.
	binaries = "bin"
	// knownAge is how old the known fingerprints are before they are repeated: the
	// function remembers only what is older than two minutes.
	knownAge = 135 * time.Second
	// pageSize is how many rows one page of the table of objects has.
	pageSize = 5000
)

// The parts of the scenarios.
const (
	// workers is how many operations that are no measurement are under way at once.
	workers = 64
	// stormWorkers is the concurrency on one fingerprint.
	stormWorkers = 256
	// batchWorkers and batchAlerts make the scenario of large webhooks.
	batchWorkers = 8
	batchAlerts  = 100
	// knownObjects are what repeats are spread over.
	knownObjects = 1000
	// recurring is how many fingerprints recur after a terminal phase.
	recurring = 500
	// burst is how many events come at once in an outage, and burstPause what
	// lies between two bursts.
	burst      = 200
	burstPause = 50 * time.Millisecond
	// newEvery makes each fifth alert of the mixture a new one.
	newEvery = 5
	// warmUp is how many events each fresh function gets before it is
	// measured, so that its connections are open; warmWorkers send them.
	warmUp      = 32
	warmWorkers = 16
	// minAdded is how many objects a scenario may add to any namespace, and
	// addedShare the part of a large one: what it measures must stay that size.
	minAdded   = 2000
	addedShare = 4
	// recurrences is how often an alert with a past recurs in one measurement.
	recurrences = 30
	// maxRecord is how many keys the function keeps on an object.
	maxRecord = 128
)

// added is how many objects one scenario may add to a namespace.
func added(size int) int { return max(minAdded, size/addedShare) }
