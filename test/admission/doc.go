// Package admission records how a whole Kubernetes API refuses an object, so that
// the tests without one can tell a broken object from a policy that denies it:
// make test-kube.
package admission
