package dedup

import "time"

const (
	// MinKeys is how many keys an object keeps on record at least, the newest ones:
	// about 4 KiB of status. A redelivery after that many other keys counts again.
	MinKeys = 128
	// patchesKept is of how many batched patches an object keeps all keys, if that is
	// more than MinKeys. A redelivery comes some patches after its event.
	patchesKept = 4
	// maxKeys is how many keys an object keeps on record at most: 70 KiB in three
	// conditions.
	maxKeys = 4096
	// keysPerLine is the number of keys in a line of the record, 1 KiB of text.
	// maxMessage bounds the message of a condition, in bytes, as the Kubernetes type
	// does.
	keysPerLine = 64
	maxMessage  = 32 << 10
	// maxBatchKeys bounds the keys in one patch of a batch.
	maxBatchKeys = maxKeys / patchesKept
	// MaxAlerts is how many folded alerts an object names, the most severe: about 10 KiB
	// of status with their states, and 64 KiB if all of their texts have the maximal
	// length. One resource rarely has more alerts that fire at once, and each alert has
	// its audit event too. An object with more alerts is never marked as resolved.
	MaxAlerts = 32
	// maxDifferences is in how many labels a named alert can differ from the object's own
	// alert. maxDifferingName and maxDifferingValue bound the texts of such a label, in
	// bytes. Most alerts differ in one or two labels, such as a mount point or a
	// container.
	maxDifferences    = 8
	maxDifferingName  = 64
	maxDifferingValue = 128
	// maxRounds bounds the rounds of one settlement. Another writer wins each lost round,
	// so a hundred lost rounds in a row are an outage.
	maxRounds = 100
	// nameSpan is the span of time in which handlers that see the same past choose the
	// same name. Within it a name can be used again, if its object is deleted. Two
	// handlers on the two sides of its edge can create duplicates, which are merged. So
	// it is long compared with the milliseconds between a handler's List and its create.
	nameSpan = 10 * time.Second
	// lateAge is the age from which no older object can appear beside a late one: the
	// second in which it was created has passed, and so has one second for a List that
	// began in it.
	lateAge = 2 * time.Second
	// maxSurplus is how many ended objects are deleted after one create. A past that was
	// long before the limit was set becomes shorter with each create.
	maxSurplus = 32
	// maxShortened is how many pasts are shortened at the same time. Deletions compete
	// with alerts for API calls.
	maxShortened = 4
	// shortenTimeout bounds the shortening of one past: [maxSurplus] deletions with a
	// slow API server.
	shortenTimeout = 20 * time.Second
	// maxReads bounds the attempts of the List after a create.
	maxReads = 4
	// minBackOff and maxBackOff bound the wait after a lost round. The shortest wait is
	// about one API call.
	minBackOff = 2 * time.Millisecond
	maxBackOff = 100 * time.Millisecond
	// callTimeout bounds one API call, here and in the API server. A call that is stuck
	// leaves time for an answer within the event's deadline.
	callTimeout = 10 * time.Second
	// brakeAge is how long the answer to a Get of the brake is valid. Creates end at most
	// two seconds after the brake was put on, and each process sends at most one Get a
	// second.
	brakeAge = time.Second
	// brakeTimeout bounds the Get of the brake. A create that waits for the Get must
	// still fit into the event's deadline.
	brakeTimeout = 5 * time.Second
	// maxPauseReason is how much of a brake's reason is read, in bytes: a sentence. Each
	// log line about a paused alert repeats it.
	maxPauseReason = 256
	// maxWait bounds a batch whose callers have no deadline.
	maxWait = time.Minute
	// maxCalls bounds the concurrent API calls of this process. In a storm, the API
	// server still serves the other clients of its flow.
	maxCalls = 64
	// halvePause is how long after a 429 further ones are ignored, because they answer
	// calls that were already running.
	halvePause = 100 * time.Millisecond
	// maxListDelay is how long later Lists wait for a running one. A List that is stuck
	// must not block its namespace.
	maxListDelay = 2 * time.Second
	// maxUnbatched is up to how many fingerprints of a batch are listed one by one. A
	// List of several fingerprints takes two calls.
	maxUnbatched = 2
	// maxParallelLists is how many Lists of single fingerprints of one batch run at the
	// same time.
	maxParallelLists = 16
	// maxLabels is how many fingerprints one List asks for: 4 KiB of URL, half of what
	// proxies accept.
	maxLabels = 256
	// maxList bounds the answer to a List of one fingerprint, in bytes: thousands of
	// objects of usual size. A longer answer is read in pages instead. maxPage bounds a
	// page: pageSize objects of the maximal size. Only a buffer is held in memory, so
	// these bound the time that an answer takes.
	maxList = 32 << 20
	maxPage = 4 << 30
	// maxBatchList bounds the answer to a List of several fingerprints, in bytes. Above
	// it, other programs have made so many objects that a List of each fingerprint alone
	// is cheaper.
	maxBatchList = 4 << 20
	// pageSize is the number of objects in a page. maxPagings is how often the paging
	// begins anew: the API server forgets the state of the first page after five minutes,
	// or sooner if it is short of memory.
	pageSize   = 500
	maxPagings = 3
	// maxAnswer bounds an answer that is one object, in bytes. etcd accepts no object
	// above 1.5 MiB, and each of its bytes can take six bytes in JSON.
	maxAnswer = 9 << 20
	// maxPast is how many objects a past can have, and how many keys its ended objects
	// can have, before it is reduced; it follows MinKeys. Only a past that was not reduced
	// is cached.
	// maxEnded is how many ended objects a reduced past keeps: more than can be created
	// for a fingerprint within one second, the resolution of creation times.
	maxPast  = maxCachedKeys
	maxEnded = 128
	// manyEnded is from how many ended objects on the List after a create always leaves
	// them out. Such a List cannot be batched. With fewer ended objects a batched List is
	// cheaper, so they are left out only if no other List is running.
	manyEnded = 16
	// maxLongLists bounds the concurrent Lists of long pasts. Each can take seconds. If
	// all ran at once, each would end after its deadline, and so would the redelivery.
	maxLongLists = 4
	// maxListMemory bounds what all running Lists hold of their answers, in bytes. Each
	// List begins with listMemory: its buffer, one object without its payload, and a
	// short past. A List that needs more when no memory is left begins again with
	// longMemory, which is enough for a reduced past.
	maxListMemory = 24 << 20
	listMemory    = 128 << 10
	longMemory    = 1 << 20
	// scanBuffer is how much of an answer is read at once, in bytes.
	scanBuffer = 32 << 10
	// maxEndedPage bounds a page for onefire prune and onefire list, in bytes, because it
	// is held in memory as a whole. Above it, the reader asks for a smaller page. One
	// object fits (maxAnswer).
	maxEndedPage = 10 << 20
	// redelivered is how long after an event was counted it can be redelivered. The
	// Broker retries for a quarter of an hour at most.
	redelivered = 20 * time.Minute
	// tooManyFor is how long Lists of a namespace are not batched after it had too many
	// objects without our label.
	tooManyFor = time.Minute
	// noneUnlabelledFor is how long objects without our label are not asked for after a
	// namespace had none. A List of hundreds of fingerprints makes the API server read
	// the whole namespace, and would make it do so twice. An object that another program
	// creates meanwhile is missed for one second at most.
	noneUnlabelledFor = time.Second
	// maxNamespaces bounds what is remembered of namespaces, because an alert can name
	// any namespace.
	maxNamespaces = 1024
	// settledAge is the age from which an object can have no duplicate that the List did
	// not show: every handler that listed before the object was created has timed out. An
	// event has 25 s, and a call callTimeout more. The rest is for clocks and for
	// processes that stall.
	settledAge = 2 * time.Minute
	// maxCached is how many subjects are cached. maxCachedKeys bounds the keys of one
	// entry: 30 KiB at most, and usually 1 to 8 KiB. An entry has the alerts of the
	// active object only; maxCachedText bounds their texts and the object's own labels,
	// in bytes, and the rest of the alerts takes 8 KiB at most.
	maxCached     = 2048
	maxCachedKeys = 4 * MinKeys
	maxCachedText = 8 << 10
	// maxStale is the share of outdated entries, among the last staleSamples, from which
	// an object is read before it is patched. A patch that fails costs the API server ten
	// times as much as a read.
	maxStale     = 0.1
	staleSamples = 32
	// maxCacheAge is how long a List is used: two of Alertmanager's group intervals.
	maxCacheAge = 10 * time.Minute
)
