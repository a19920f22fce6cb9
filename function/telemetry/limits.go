package telemetry

import "time"

const (
	// scrapeTimeout bounds one scrape, and is Prometheus's default.
	scrapeTimeout = 10 * time.Second
	// stopTimeout is how long a process that ends waits for its collector. Data that is
	// not sent by then is lost.
	stopTimeout = 5 * time.Second
	// firstPause and maxPause bound the jittered pauses between two attempts of one
	// export. OTEL_EXPORTER_OTLP_TIMEOUT bounds all attempts together.
	firstPause = 500 * time.Millisecond
	maxPause   = 5 * time.Second
	// maxAnswer is how much of a collector's answer is read, in bytes: enough for the
	// description of a failure.
	maxAnswer = 8 << 10
	// logInterval is the least time between two log lines about failures of one signal.
	logInterval = time.Minute
	// maxConnections is one connection to a collector for each signal. idleTimeout is
	// longer than the default interval of metrics, so that the connection is reused.
	maxConnections = 2
	idleTimeout    = 90 * time.Second
	// maxText is the longest text of an attribute, a span's name or a status, in bytes.
	// Collectors cut or reject much larger spans, and the events of strangers can have
	// texts of 2 KiB and more.
	maxText = 512
)
