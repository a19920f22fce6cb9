// Package telemetry is how a process is watched: metrics for Prometheus at an
// address of their own, metrics and traces by OTLP.
//
// OpenTelemetry's SDKs count and record. What is written here is only what they
// are sent as: Prometheus's text format, and OTLP over HTTP in its JSON
// encoding. The official exporters would make the binary half as large again.
//
// What the programs share of distributed tracing is here too: trace contexts as the W3C
// writes them, in and out of events and requests, and the names of attributes. Spans
// follow OpenTelemetry's conventions for messaging, with the attributes of those for
// CloudEvents and HTTP; what these have no name for begins with "onefire.". Where
// nothing is traced the tracer is nil, and nobody pays for attributes that nobody reads.
//
// Nothing of it may harm an alert. Spans wait in a bounded queue, and are
// dropped when it is full; an export that fails is tried again within its time,
// then counted, and logged once a minute at most. Without an address and an
// endpoint nothing is counted, recorded or started.
package telemetry
