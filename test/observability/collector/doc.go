// Package collector is a small OpenTelemetry Collector: the real one's receiver
// of OTLP over HTTP, and a memory of what came. Its tests hold what
// [onefire/function/telemetry] sends against it, and what that package serves
// to Prometheus against OpenTelemetry's own exporter.
package collector
