// Package verify is only tests: they build the manifests as `kubectl apply -k`
// does, and hold them against the types, defaults and validation of Kubernetes
// and Knative, and against the code that they deploy.
package verify
