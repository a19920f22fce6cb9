// Package source turns Alertmanager's webhook into CloudEvents: one for each alert, or
// one for the whole webhook.
//
// A webhook is answered 2xx only when the sink has accepted each of its events, or has
// rejected it for good; the log then has the whole rejected event. After any other answer
// except 4xx, Alertmanager sends the same body again. Nothing is queued, so a crash loses
// nothing that was acknowledged. A delivery is finished even if Alertmanager hangs up,
// because a synchronous Broker loses an event when its sender hangs up.
//
// The id of an event follows from its content and from the window of time in which it
// came. So Alertmanager's retry, and the second of a pair of Alertmanagers, make the same
// id, and the next repeat makes another one. [window] and [memory] say when this holds,
// and docs/reference.md when it does not.
package source
