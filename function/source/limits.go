package source

import (
	"time"

	"onefire/function/receive"
)

const (
	// maxBody is the largest webhook in bytes: 10,000 alerts as Alertmanager writes them
	// take about 6 MB.
	maxBody = 8 << 20
	// maxBodies bounds the bytes of all bodies in memory. Reading one takes up to five
	// times its size. With 12 MiB, the source peaks at 160 MiB while 24 senders send
	// webhooks of hostile JSON.
	maxBodies = 12 << 20
	// maxEvent is the largest data of one event, in bytes: the function accepts no larger
	// body.
	maxEvent = 2 << 20
	// maxEnvelope is the largest size of a webhook without its alerts, in bytes. Each
	// event has a copy of that. It contains the labels by which Alertmanager groups.
	maxEnvelope = 256 << 10
	// maxFields is the largest number of fields of a webhook. Alertmanager's webhook has
	// a dozen.
	maxFields = 64
	// maxAlerts is the largest number of alerts of one webhook: with 5 ms for each, 32 at
	// once, they take 2 s.
	maxAlerts = 10_000
	// maxHeader bounds a request's headers, in bytes.
	maxHeader = 32 << 10
	// headerTimeout bounds the time in which headers must arrive, and idleTimeout the
	// time between two requests of one connection. A body has [receive.BodyTimeout] after
	// its headers, even if it is not read.
	headerTimeout = 10 * time.Second
	idleTimeout   = 3 * time.Minute
	// answerTimeout bounds the sending of an answer.
	answerTimeout = 4 * time.Second
	// maxArriving bounds the webhooks whose bodies are arriving, at 30 KiB each. At the
	// bound, slow ones are cut off.
	maxArriving = 512
	// maxRequests bounds the webhooks that are delivered at once. A webhook counts only
	// from when its whole body has arrived and, if senders are checked, its sender is
	// known.
	maxRequests = 256
	// maxParallel bounds the events of one webhook that are sent at once, and maxSlots
	// those of all webhooks. A synchronous Broker holds each event for as long as the
	// function takes, retries included. An event takes a slot for each slotSize bytes of
	// its data, so all of them take at most 32 MiB.
	maxParallel = 32
	maxSlots    = 512
	slotSize    = 64 << 10
	// refusalPause is the least time between two log lines about webhooks that were
	// answered with the same status and not accepted. Anybody can send such webhooks, and
	// Alertmanager logs its own.
	refusalPause = time.Minute
	// maxReason is the longest reason in an answer, in bytes. Alertmanager logs it.
	maxReason = 1 << 10
	// maxExtension is the longest value of an extension, in bytes, before it is encoded
	// for a header: enough for every Kubernetes name.
	maxExtension = 253
	// maxReceiver is the longest receiver name that a source contains unchanged.
	maxReceiver = 512

	// maxRemembered is how many alerts are remembered, at about 300 bytes each.
	maxRemembered = 32 << 10
	// openFor is how long an alert of a webhook that was not acknowledged is remembered,
	// counted from the last attempt. Alertmanager pauses up to 90 s between its attempts,
	// and one attempt may take DELIVERY_TIMEOUT. If the sink has accepted the alert's
	// event, openFor counts from then.
	openFor = 10 * time.Minute

	// timeFor is how long an event that is not accepted keeps its time. Together with the
	// quarter of an hour in which a Broker retries, it is less than the least
	// MAX_EVENT_AGE.
	timeFor = 30 * time.Minute

	// maxAttempts bounds the attempts to send one event. An attempt begins at most
	// maxElapsed after the first one. After that Alertmanager sends the webhook again,
	// with longer pauses. One attempt may take as long as the webhook's delivery, because
	// a synchronous Broker loses an event when its sender hangs up.
	maxAttempts = 4
	maxElapsed  = 10 * time.Second
	// firstPause is the pause before the second attempt, jittered. Each later pause is half as
	// long again.
	firstPause = 100 * time.Millisecond
	// connectTimeout bounds the making of a connection, and separately its TLS handshake.
	connectTimeout = 5 * time.Second
	// pingAfter is after how much silence an HTTP/2 connection is checked with a ping.
	pingAfter = 15 * time.Second
	// maxIdle is how many connections to the sink are kept open.
	maxIdle = 64
	// maxAnswerShown is how much of the sink's answer is passed on, in bytes.
	maxAnswerShown = 256

	// fileAge is how long a secret or certificate is used before its file is checked
	// again. A kubelet takes about a minute to write a new one.
	fileAge = 10 * time.Second
	// retryRead is the least time between two reads of the file because of a wrong
	// secret.
	retryRead = time.Second
	// retryAfter is the Retry-After header of a 503, in seconds.
	retryAfter = "5"
)

// StopGrace is how much longer than a delivery a stop may take, because a webhook's body
// and its answer take time as well.
const StopGrace = receive.BodyTimeout + answerTimeout
