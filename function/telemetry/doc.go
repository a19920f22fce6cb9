// Package telemetry makes metrics and traces available: metrics for Prometheus at an
// address of their own, and metrics and traces by OTLP.
//
// OpenTelemetry's SDKs count and record. This package only writes their wire formats:
// Prometheus's text format, and OTLP over HTTP in its JSON encoding. The official
// exporters would make the binary half as large again.
//
// The package also has what the programs share of distributed tracing: W3C trace contexts
// in events and requests, and the names of attributes. Spans follow OpenTelemetry's
// conventions for messaging, CloudEvents and HTTP; attributes that these do not define
// begin with "onefire.". If nothing is traced, the tracer is nil and no attributes are
// made.
//
// Telemetry never harms an alert. Spans wait in a bounded queue and are dropped when it
// is full. An export that fails is retried within its timeout, then counted, and logged
// at most once a minute. Without an address and an endpoint, nothing is counted, recorded
// or started.
package telemetry
