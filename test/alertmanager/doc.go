// Package alertmanager tests the source, a process of its own, with real
// Alertmanagers: what they send, when they send it again, and what a pair of
// them does.
package alertmanager
