package dedup

import "time"

const (
	// MaxEvents is how many event keys an object keeps at least, the newest:
	// about 4 KiB of status. A redelivery that comes later counts again.
	MaxEvents = 128
	// patchesKept is how many shared patches' keys are kept, where those bring
	// more: a redelivery comes some patches later than its event.
	patchesKept = 4
	// maxRecord is how many keys an object keeps at most: 70 KiB, in three
	// conditions.
	maxRecord = 4096
	// keysPerLine is how many keys a line of the record has, 1 KiB of text, and
	// maxMessage how long a message of a condition may be, as Kubernetes' own type
	// has it.
	keysPerLine = 64
	maxMessage  = 32 << 10
	// maxSharedKeys bounds the keys that deliveries share one patch for.
	maxBatchKeys = maxRecord / patchesKept
	// MaxAlerts is how many other alerts an object names, the most severe: about
	// 10 KiB of status with what is known of their ends, and 64 KiB where all of
	// their texts are as long as they may be. One resource has rarely more that
	// fire at once, and each one has its audit event too. An object that counts
	// more is never marked as resolved.
	MaxAlerts = 32
	// maxDifferences is how many labels an object names in which another alert
	// differs from its own, and maxDifferingName and maxDifferingValue bound their
	// texts, in bytes. Most differ in one or two: a mount point, a container.
	maxDifferences    = 8
	maxDifferingName  = 64
	maxDifferingValue = 128
	// maxRounds bounds the rounds of one settlement. Each lost round means
	// that another writer won it; a hundred losses in a row is an outage.
	maxRounds = 100
	// nameSpan is the span of time in which all who see the same past choose the
	// same name. A name can come again within it: an object that is made, deleted and
	// made again. At its edges twins are made and healed, so it is long beside an
	// event's way from its List to its create, which takes milliseconds.
	nameSpan = 10 * time.Second
	// lateSettles is the age at which nothing older than a late object can appear any
	// more: its second has passed, and one for a List that began in it.
	lateAge = 2 * time.Second
	// maxSurplus is how many ended objects are deleted after one was made: a long past
	// that was there before the limit goes by and by.
	maxSurplus = 32
	// maxShortened is how many pasts are shortened at a time. They take calls that
	// alerts could have.
	maxShortened = 4
	// shortenTimeout bounds that for one past: [maxSurplus] deletions of a slow API
	// server.
	shortenTimeout = 20 * time.Second
	// maxLooks bounds the attempts to look after a create.
	maxReads = 4
	// minPause and maxPause bound the wait after a lost round. The shortest
	// is about one API call.
	minBackOff = 2 * time.Millisecond
	maxBackOff = 100 * time.Millisecond
	// callTimeout bounds one API call, here and in the API server, so that a
	// stuck one leaves time for an answer within the event's deadline.
	callTimeout = 10 * time.Second
	// brakeAge is how long what a Get said of the brake holds: nothing new is made from
	// two seconds after it was put on, and an API server is asked once a second by each
	// process at most.
	brakeAge = time.Second
	// brakeTimeout bounds that Get. Creates wait for it, and have their own call to make
	// within the event's deadline.
	brakeTimeout = 5 * time.Second
	// maxPauseReason is how much of a brake's reason is read, in bytes: a sentence that
	// each line of the log about a paused alert has.
	maxPauseReason = 256
	// maxWait bounds what is done together for callers who set no deadline.
	maxWait = time.Minute
	// maxCalls bounds the API calls under way from this process at once, so
	// that a storm does not crowd out others' flow in the control plane.
	maxCalls = 64
	// shrinkPause is how long after a refusal another one says nothing new: the
	// calls that were under way are refused together.
	halvePause = 100 * time.Millisecond
	// maxLead is how long those who come next wait for a List under way: one
	// that is stuck must not hold up a namespace.
	maxListDelay = 2 * time.Second
	// maxAlone is how many fingerprints are listed one by one, although others
	// wait: making the List of several takes two calls.
	maxUnbatched = 2
	// maxLists bounds the Lists under way at once where each is by itself.
	maxParallelLists = 16
	// maxLabels is how many fingerprints one List asks for: 4 KiB of URL, half
	// of what proxies take.
	maxLabels = 256
	// maxList is how much of the answer to a fingerprint's List is read before it is
	// asked for in pages instead, in bytes: thousands of objects as most are. maxPage
	// bounds a page: pageSize objects as large as they can be. Nothing is held but a
	// window, so these bound the time that an answer may take.
	maxList = 32 << 20
	maxPage = 4 << 30
	// maxSharedList bounds the answers to a List of several fingerprints, in bytes:
	// so much of what others made that it is cheaper to ask for each alone.
	maxBatchList = 4 << 20
	// pageSize is how many objects a page has, and maxPagings how often reading in
	// pages begins: the API server forgets the state that a first page showed after
	// five minutes, or sooner where it is short of memory.
	pageSize   = 500
	maxPagings = 3
	// maxAnswer bounds an answer that is one object, in bytes: etcd takes no object
	// above 1.5 MiB, and each of its bytes can take six in JSON.
	maxAnswer = 9 << 20
	// maxPast is how many objects, and keys of ended ones, a past may have and be
	// kept whole: no longer one is remembered. maxEnded is how many ended objects are
	// kept of a longer one: more than a fingerprint can have within the second that
	// creation times cannot tell apart.
	maxPast  = maxCachedKeys
	maxEnded = 128
	// manyEnded is from how many ended objects on a look after a create leaves them out
	// in any case. Fewer cost less than what is lost when that look shares no List with
	// others, so they are left out only where no other List is under way.
	manyEnded = 16
	// maxLong bounds the Lists of long pasts under way at once. Each can take seconds:
	// all of them at once would all come too late, and again with each redelivery.
	maxLongLists = 4
	// maxReading bounds what all Lists under way hold of their answers, in bytes. Each
	// begins with listMemory: its window, an object without its payload, and a short
	// past. One that needs more, and finds that others have it, begins again with
	// longMemory: a long past as it is kept.
	maxListMemory = 24 << 20
	listMemory    = 128 << 10
	longMemory    = 1 << 20
	// scanWindow is how much of an answer is read at once, in bytes.
	scanBuffer = 32 << 10
	// maxEndedPage bounds a page of what prune and list read, which is held whole, in
	// bytes: a reader asks for a smaller page where it has more. One object fits
	// (maxAnswer).
	maxEndedPage = 10 << 20
	// redelivered is how long an event may be delivered again after it was counted.
	// The Broker tries for a quarter of an hour at most.
	redelivered = 20 * time.Minute
	// crowdedFor is how long a namespace is not asked for several fingerprints
	// at once after it had too much in it for that.
	tooManyFor = time.Minute
	// emptyFor is how long a namespace is not asked for what others made, after
	// there was nothing. A List of hundreds of fingerprints reads all of it, and
	// would read it twice. A second bounds what an object that somebody made
	// meanwhile can go unseen.
	noneUnlabelledFor = time.Second
	// maxNamespaces bounds what is believed of namespaces: alerts can name any.
	maxNamespaces = 1024
	// settledAge is the age from which an object has no unseen twin: nobody who
	// listed before it was made is still about to create. An event has 25 s, a
	// call callTimeout more; the rest is for clocks and for processes that stall.
	settledAge = 2 * time.Minute
	// maxMemos is how many subjects are remembered, and maxMemoKeys bounds the
	// keys in one memo: 30 KiB, and 1 to 8 KiB as a rule. Alerts are remembered of
	// the active object alone: maxMemoText bounds their texts and its own labels,
	// in bytes, beside which all of them take 8 KiB at most.
	maxCached     = 2048
	maxCachedKeys = 4 * MaxEvents
	maxCachedText = 8 << 10
	// maxStale is the share of old memos from which on an object is read before
	// it is patched: a lost patch costs the API server ten times a read. It is
	// that of the last memosNoted.
	maxStale     = 0.1
	staleSamples = 32
	// maxMemoAge is how long a List is remembered: two of Alertmanager's group
	// intervals.
	maxCacheAge = 10 * time.Minute
)
