// Package observability holds what is in knative/observability and
// knative/chart/files against Prometheus's own rule engine, kube-state-metrics' own
// generator, and the metrics that the code and Knative have.
package observability
