// Package sender tests who is let in, with tokens of a whole Kubernetes API:
// make test-kube.
package sender
