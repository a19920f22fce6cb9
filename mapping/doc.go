// Package mapping turns what Prometheus and Alertmanager send into what the
// rest of Onefire works with: payload to alerts, alert to signal, and signal
// plus decision to the payload of an audit event.
//
// Everything here is a pure function of its arguments: no I/O, no clock, no
// environment. Whatever a sender puts into an alert, a [Signal] is bounded and
// clean (see limits.go), so no alert can make an object that the API server
// refuses for its size or its characters.
package mapping
