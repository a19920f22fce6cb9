// Package objects holds kube-state-metrics' configuration against its own
// generator. Its module has the exporters of the cluster, which do not build
// with the automemlimit of Prometheus and of Onefire.
package objects
