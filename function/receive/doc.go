// Package receive receives CloudEvents over HTTP, within bounds, and answers them.
//
// Each request is handled in its own goroutine, and nothing is queued. The SDK's own HTTP
// receiver is not used, because it passes requests through one shared channel on which
// they can hang forever. When a client hangs up, its event is still finished, within a
// deadline. A request above a bound is answered 503 at once and does not wait.
package receive

// DryRunType is the media type of one CloudEvent in JSON for a dry run: the function
// answers what would become of the event, and does nothing. It is not a media type of
// CloudEvents. So a function that does not know it answers 415, and no Broker sends it or
// passes it on.
const DryRunType = "application/vnd.onefire.dry-run+json"

// KeptHeader is a header of requests whose sender keeps its event until the event is
// settled, as the replay of dead letters does. An alert for which the brake or a quota
// allows no object is then not settled. The value names the sender.
const KeptHeader = "Onefire-Kept"
