// Package mapping turns what Prometheus and Alertmanager send into what the
// rest of Onefire works with: payload to alerts, alert to signal, and signal
// plus decision to the payload of an audit event.
//
// Everything here is a pure function of its arguments: no I/O, no clock, no
// environment. A [Signal] is bounded and clean, whatever a sender puts into an
// alert (see limits.go), so no alert can make an object that the API server
// rejects for its size or its characters.
package mapping
