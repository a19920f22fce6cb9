// Package kube is what Onefire asks and tells the Kubernetes API beside
// RemediationRequests: the controller that an alert's object belongs to, and whether it
// is in the scope; who sends a request; and Events on what happened.
//
// # Owners
//
// A [Resolver] finds what controls the object that an alert is about: for a
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
//
// # Senders
//
// A [Verifier] tells who sends a request, by the bearer token that it shows.
//
// Knative's Trigger dispatcher, where OIDC is on, sends a token of the Trigger's
// service account, made out to the subscriber's audience. Whether a token is good
// is for the API server to say (TokenReview): it knows the keys, and which
// accounts and pods are gone, so nothing here checks a signature. What a token
// says of itself only ever refuses it, never lets it in.
//
// A good answer stands for [reviewAge] and not beyond the token's own end; a bad
// one, or that of who may not send, is asked again each time. One token is asked
// for once at a time, and [maxReviews] unknown tokens at once; who waits longer
// than [reviewTimeout] is told to come again. Nothing runs between requests.
// Tokens are kept as their SHA-256, and no message has one in it.
//
// # Events
//
// A [Recorder] tells the story of alerts where people look for it: as Events
// of the Kubernetes API, on the object that something happened to.
//
// Recording never blocks and never fails: an Event is a courtesy, and nothing
// else may wait for it. What is recorded waits in a bounded queue for one
// goroutine that writes them one by one; it starts with the first and ends with
// the last, so an idle [Recorder] has none. When too many come at once, or the
// API server does not take them, they are left out, and that is counted.
//
// An Event's name follows from its object, its reason and what it is about. So
// the API server itself lets each happening be told once for as long as it keeps
// Events, an hour as a rule, however many processes record it and however often.
package kube
