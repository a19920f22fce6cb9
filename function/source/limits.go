package source

import (
	"time"

	"onefire/function/receive"
)

const (
	// maxBody is the largest webhook in bytes: 10,000 alerts as Alertmanager
	// writes them are about 6 MB.
	maxBody = 8 << 20
	// maxBodies bounds the bytes of all bodies held at once. Reading one takes
	// up to five times its size, and with 12 MiB the source peaks at 160 MiB
	// while 24 senders send webhooks of hostile JSON.
	maxBodies = 12 << 20
	// maxEvent is the most data of one event, in bytes: the function takes no
	// larger body.
	maxEvent = 2 << 20
	// maxEnvelope is the most of a webhook beside its alerts, in bytes: each
	// event has a copy of it. Label values that Alertmanager groups by are in it.
	maxEnvelope = 256 << 10
	// maxFields is the most fields of a webhook; Alertmanager's has a dozen.
	maxFields = 64
	// maxAlerts is the most alerts of one webhook: with 5 ms for each, 32 at
	// once, they take 2 s.
	maxAlerts = 10_000
	// maxHeader is the most bytes of a request's headers.
	maxHeader = 32 << 10
	// headerTimeout bounds the time in which headers must arrive, idleTimeout
	// that between two requests of one connection. A body has
	// [receive.BodyTimeout] on top of the headers', one that nobody reads too.
	headerTimeout = 10 * time.Second
	idleTimeout   = 3 * time.Minute
	// answerTimeout bounds the sending of an answer.
	answerTimeout = 4 * time.Second
	// maxArriving bounds the webhooks whose bodies are still to come, at 30 KiB
	// each. When it is reached, those that come slowly make room.
	maxArriving = 512
	// maxRequests bounds the webhooks that are delivered at once. None counts before
	// its sender is known, where that is asked for, and its whole body is there.
	maxRequests = 256
	// maxParallel bounds the events of one webhook that are sent at once, and
	// maxSlots those of all webhooks: a Broker that works synchronously holds
	// each for as long as the function takes, its retries included. An event
	// takes a slot for each slotSize bytes of its data, so all of them take
	// 32 MiB.
	maxParallel = 32
	maxSlots    = 512
	slotSize    = 64 << 10
	// refusalPause is the least time between two lines in the log about webhooks
	// that got the same status and were not taken: anybody can send them, and
	// Alertmanager logs its own.
	refusalPause = time.Minute
	// maxReason is the longest reason in an answer, in bytes. Alertmanager
	// writes it into its log.
	maxReason = 1 << 10
	// maxExtension is the longest extension value in bytes, before it is
	// encoded for a header: enough for every Kubernetes name.
	maxExtension = 253
	// maxReceiver is the longest receiver name that stands in a source as it is.
	maxReceiver = 512

	// maxRemembered is how many alerts are remembered, about 300 bytes each.
	maxRemembered = 32 << 10
	// openFor is how long an alert is remembered whose webhook was not
	// acknowledged: Alertmanager pauses up to 90 s between its tries, and one
	// try may last as long as DELIVERY_TIMEOUT. It runs from the last try, and
	// for an alert that the sink has taken from then.
	openFor = 10 * time.Minute

	// timeFor is how long an event that is not taken keeps its time. With the quarter of
	// an hour for which a Broker tries it is less than the least MAX_EVENT_AGE.
	timeFor = 30 * time.Minute

	// maxAttempts bounds the tries to send one event; a try begins no later than
	// maxElapsed after the first. Past them Alertmanager sends the webhook
	// again, with longer pauses. A try itself may last as long as the webhook's
	// delivery: to hang up on a synchronous Broker loses the event.
	maxAttempts = 4
	maxElapsed  = 10 * time.Second
	// firstPause and maxPause bound the jittered pauses between tries.
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
	// connectTimeout bounds a connection's making, and its TLS handshake.
	connectTimeout = 5 * time.Second
	// pingAfter is when a silent HTTP/2 connection is asked whether it lives.
	pingAfter = 15 * time.Second
	// maxIdle is how many connections to the sink are kept open.
	maxIdle = 64
	// maxAnswerShown is how much of the sink's answer is passed on, in bytes.
	maxAnswerShown = 256

	// fileAge is how long a secret or certificate is used before its file is
	// looked at again; a kubelet takes about a minute to bring a new one.
	fileAge = 10 * time.Second
	// retryRead is how often a wrong secret may make the file be read.
	retryRead = time.Second
	// retryAfter is what a sender is told to wait, in seconds.
	retryAfter = "5"
)

// StopGrace is how much longer than a delivery a stop may take: a webhook's body
// and its answer take time as well.
const StopGrace = receive.BodyTimeout + answerTimeout
