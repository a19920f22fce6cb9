// Package owner finds what controls the object that an alert is about: for a
// pod the Deployment, StatefulSet, DaemonSet or CronJob that will make the next
// one, so that alerts on two of its pods are about one thing.
//
// It follows owner references that say controller, by uncached Gets of metadata
// alone, until an object has none, or is of a kind that it has no right to read
// (an Argo Rollout, a Knative Revision): that owner is the answer. A static pod
// is controlled by its Node; there the pod is the answer.
//
// An alert of node-exporter is about its node. Where its labels do not name that,
// as in the kube-prometheus-stack chart, the pod that reports is read whole: its
// spec says on which node it runs.
//
// An alert is never lost here. What the API server says for good (there is no
// such object, nobody may ask) ends the walk with what is known by then, at
// worst the object that the alert's labels name. What may be different in a
// moment is an error, and the alert must wait for its redelivery: settled on
// the pod now and on its Deployment later, one fire would have two objects.
//
// With a scope it also tells which alerts are to become objects: those whose target
// or its namespace has labels that fit. One Get answers both questions.
//
// A pod that is gone, as one often is when its alert comes, keeps its owner in
// two ways: a process that asked before remembers it; and the names of pods,
// ReplicaSets and Jobs begin with those of what made them. A name is believed
// only if it leads to exactly one object that is there.
package owner
