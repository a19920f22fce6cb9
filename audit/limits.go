package audit

import "time"

const (
	// maxPosts bounds the posts to DataStorage under way at once: it takes 50
	// requests a second from one client, and a post takes 60 ms (one event) to
	// 2 s (200).
	maxPosts = 8
	// maxRequests bounds the requests to DataStorage a second, and how many may be made at
	// once after a rest: it takes 50 a second from one address, and 100 at once. When it
	// takes fewer, because others share the address, this process halves what it makes, to
	// minRequests at least, and makes moreRequests more for each second without a refusal.
	maxRequests  = 50
	minRequests  = 1
	moreRequests = 2
	// maxConnections is how many connections to the sink are kept open between
	// deliveries, each for idleTimeout. It bounds the concurrent posts to a sink that
	// is not DataStorage.
	maxConnections = 64
	idleTimeout    = 90 * time.Second
	// maxBatch and maxBatchBytes bound the events of one batch. DataStorage takes
	// 500 events and 5 MiB, and 200 events within 3 s on a busy machine.
	maxBatch      = 200
	maxBatchBytes = 4 << 20
	// splitBatch is how many parts a refused batch is sent again in: one event
	// that is refused for good costs 30 requests of a batch of 200, and 200 such
	// events cost 217.
	splitBatch = 16
	// unbatchedFor is how long events go one by one after the sink said that it
	// knows no batches.
	unbatchedFor = 5 * time.Minute
	// maxPending and maxPendingBytes bound the events that wait or are under way:
	// four events of 2,000 new alerts each, a fifth of the function's memory.
	maxPending      = 16_384
	maxPendingBytes = 32 << 20
	// maxFinished is how many events that nobody waits for any more stay in the
	// queue at most, beside those that wait.
	maxFinished = 1024
	// maxRemembered is how many events are remembered as accepted or as sent
	// without an answer: about 2 MiB.
	maxRemembered = 16_384

	// attemptTimeout bounds one POST to a sink that is not DataStorage, so that a
	// hanging sink still leaves time for a second attempt within an event's
	// deadline.
	attemptTimeout = 5 * time.Second
	// singleTimeout and batchTimeout bound one POST to DataStorage. Its handler
	// has 5 s for the database and 3 s for its queue (a batch: 30 s and 5 s), and
	// when the client hangs up before, it stores the event a minute later.
	singleTimeout = 10 * time.Second
	batchTimeout  = 40 * time.Second
	// firstDelivery is how long after its decision an audit event is left to the process
	// that made the decision: until then no other process sends what DataStorage does not
	// show. A decision is posted when its event's other alerts are settled, mostly within a
	// second. Longer would hold up the events of a process that was killed. Up to half of it
	// more is drawn for each event.
	firstDelivery = 10 * time.Second
	// ownDelivery is how long after its decision the process that made it posts an
	// audit event without asking DataStorage for it. It is shorter than firstDelivery by as
	// much as clocks differ and a post takes.
	ownDelivery = 8 * time.Second
	// askedFor is how long an answer stands that DataStorage has no such event, while other
	// processes may be posting it too. A batch that is refused and goes in parts is not
	// asked for again with each part.
	askedFor = time.Second
	// askTimeout bounds one query of DataStorage, which has 10 s for it.
	askTimeout = 12 * time.Second
	// slowAnswer is from when on an answer means that the sink has too much to do.
	slowAnswer = 5 * time.Second
	// maxAttempts and maxElapsed bound the delivery of one audit event: an attempt
	// begins no later than maxElapsed after the first. Past them the whole event
	// goes back to the sender, which waits longer.
	maxAttempts = 4
	maxElapsed  = 12 * time.Second
	// maxRetryAfter bounds the wait that is read of an answer. It is beyond what any sender
	// of events waits, so a longer one makes no difference.
	maxRetryAfter = 24 * time.Second
	// maxWait bounds a delivery whose caller has no deadline.
	maxWait = time.Minute
	// firstPause and maxPause bound the jittered back-off between attempts, in
	// which nothing is posted.
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
	// closeWait is how long Close waits for the posts under way.
	closeWait = 10 * time.Second

	// maxApart is how far an event's time may be from that of the first in the same query: in
	// a storm of 100 audit events a second the query's rows are a page.
	maxApart = 5 * time.Second
	// pageRows is how many rows one page of a query has, which is as many as DataStorage
	// gives. Where those are more than maxPage bytes, a page has a tenth, and smallRows at
	// least: a row may have 256 KiB and more.
	pageRows  = 1000
	smallRows = 10
	maxPage   = 8 << 20
	// maxRows is how many rows are read of one query. Where there are more, it is made for
	// fewer events.
	maxRows = 4000

	// maxSessions is how many TLS sessions are kept to be resumed: one of the
	// sink, and one of a proxy on the way to it.
	maxSessions = 2
	// maxAnswer is how much of an answer is read, in bytes: enough for the
	// sink's own words, and so that the connection can be used again.
	maxAnswer = 8 << 10
	// maxSecret is the largest token or other secret in bytes; a token of a service
	// account has 1 to 2 KiB.
	maxSecret = 8 << 10
	// maxNote is how much of an error is noted on a span, in bytes.
	maxNote = 512
	// tokenAge is how long a token is used before its file is read again; a
	// kubelet renews a token minutes before it expires.
	tokenAge = time.Minute
	// readyTimeout bounds the probe of the sink.
	readyTimeout = 2 * time.Second
)
