// Package backtest holds what `onefire explain -prometheus` says of a history
// against what posting the alerts of that history makes: with a real Prometheus,
// a real Kubernetes API and the function as a process of its own.
package backtest
