// Package owner tests TARGET=owner on a whole Kubernetes API, with the roles
// that are deployed. It needs the binaries of kube-apiserver and etcd, so its
// tests have a build tag; `make test-kube` builds them.
package owner
