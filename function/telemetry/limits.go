package telemetry

import "time"

const (
	// scrapeTimeout bounds one scrape: Prometheus's own default.
	scrapeTimeout = 10 * time.Second
	// stopTimeout is how long the end of a process may wait for its collector.
	// What is not sent by then is lost.
	stopTimeout = 5 * time.Second
	// firstPause and maxPause bound the jittered back-off between two attempts
	// of one export, which all stand within OTEL_EXPORTER_OTLP_TIMEOUT.
	firstPause = 500 * time.Millisecond
	maxPause   = 5 * time.Second
	// maxAnswer is how much of a collector's answer is read, in bytes: enough
	// for what it says on a failure.
	maxAnswer = 8 << 10
	// logInterval is how often one signal's failures are logged at most.
	logInterval = time.Minute
	// maxConnections is one connection to a collector for each signal. idleTimeout
	// keeps it longer than the metrics' default interval.
	maxConnections = 2
	idleTimeout    = 90 * time.Second
	// maxText is the longest text of an attribute, a span's name or a status, in
	// bytes: collectors cut or refuse spans that are much larger, and events of
	// strangers bring texts of 2 KiB and more.
	maxText = 512
)
