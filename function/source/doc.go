// Package source turns Alertmanager's webhook into CloudEvents: one for each
// alert, or one for the webhook whole.
//
// A webhook is answered 2xx only when the sink has taken every event of it, or
// has refused it for good, in which case the event is in the log, whole. After
// any other answer but a 4xx Alertmanager sends the same body again. Nothing is
// queued: a crash loses nothing that was acknowledged. A delivery is finished
// even when Alertmanager hangs up, because a Broker that works synchronously
// loses what is hung up on.
//
// The id of an event follows from what it says and from the window of time in
// which it came, so that Alertmanager's retry and the second peer of a pair make
// the same id, and its next repeat another. See [window] and [memory] for what
// holds, and docs/reference.md for what does not.
package source
