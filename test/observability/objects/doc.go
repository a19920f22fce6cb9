// Package objects holds kube-state-metrics' configuration against its own
// generator. It is a module of its own: kube-state-metrics needs an older
// client-go than Prometheus.
package objects
