// Package events tests Kubernetes Events on a whole Kubernetes API, with the
// role that is deployed. It needs the binaries of kube-apiserver and etcd, so
// its tests have a build tag; `make test-kube` builds them.
package events
