// Package receive takes CloudEvents over HTTP, within bounds, and answers them.
//
// Each request is handled in its own goroutine: nothing is queued and nothing
// is handed over. That is why the SDK's own HTTP receiver is not used, which
// passes requests through one shared channel on which they can hang for good. A
// client that hangs up changes nothing: its event is finished all the same,
// within a deadline. What goes over a bound is answered 503 at once, never kept
// waiting.
package receive

// DryRunType is the media type of one CloudEvent in JSON, of which a function says
// what would become of it, and does nothing. It is none of CloudEvents' own types, so
// that a function that does not know it answers 415, and no Broker sends or passes it.
const DryRunType = "application/vnd.onefire.dry-run+json"

// KeptHeader is on the requests of a sender that keeps its event until that is settled, as
// a replay of dead letters does. An alert for which nothing is made now, because of the
// brake or of a quota, is then not settled. Its value is who sends.
const KeptHeader = "Onefire-Kept"
