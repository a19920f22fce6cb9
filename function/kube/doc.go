// Package kube is Onefire's use of the Kubernetes API apart from RemediationRequests. It
// finds the controller of an alert's object, and whether the object is in the scope; it
// checks who sends a request; and it writes Kubernetes Events.
//
// # Owners
//
// A [Resolver] finds what controls the object that an alert is about. For a pod that is
// the Deployment, StatefulSet, DaemonSet or CronJob that will make the next pod, so
// alerts on two pods of one Deployment have one target.
//
// It follows the owner references that are marked as controller, by uncached Gets of the
// metadata. It stops at an object without such a reference, or of a kind that it may not
// read (an Argo Rollout, a Knative Revision): that object is the answer. A static pod is
// controlled by its Node; there the pod is the answer.
//
// An alert of node-exporter is about a node. If its labels do not name the node, as in
// the kube-prometheus-stack chart, the Resolver reads the exporter's whole pod, whose
// spec names the node.
//
// An alert is never lost here. After a final answer of the API server (the object does
// not exist, nobody may ask) the walk ends with what it knows by then, at worst the
// object that the labels name. After a temporary failure the alert must wait for its
// redelivery. Otherwise it could be settled on the pod now and on its Deployment later,
// and one fire would have two objects.
//
// With a scope the Resolver also tells which alerts become objects: those whose target or
// its namespace has matching labels. One Get answers both questions.
//
// A pod is often gone when its alert comes. Its owner can then be known in two ways: the
// process has asked before and remembers the owner; or the name of the pod leads to it,
// because the names of pods, ReplicaSets and Jobs begin with the name of what made them.
// A name is used only if it leads to exactly one existing object.
//
// # Senders
//
// A [Verifier] finds out who sends a request, by its bearer token.
//
// If OIDC is on, Knative's Trigger dispatcher sends a token of the Trigger's service
// account for the subscriber's audience. The API server decides whether a token is valid
// (TokenReview). It has the keys, and knows which accounts and pods were deleted, so
// nothing here checks a signature. The claims in a token can only lead to its rejection.
//
// A positive answer is used for [reviewAge], but not beyond the token's own end. A
// negative answer, and a sender that may not send, is never cached. At most one review
// for each token and [maxReviews] for unknown tokens run at once. A request that waits
// longer than [reviewTimeout] is answered with a status that the sender retries. Nothing
// runs between requests. Tokens are kept as their SHA-256, and no message contains one.
//
// # Kubernetes Events
//
// A [Recorder] writes Kubernetes Events on the objects that something happened to, so
// that people see there what became of alerts.
//
// Recording never blocks and never fails, because nothing may depend on a Kubernetes
// Event. A bounded queue holds the events, and one goroutine writes them one by one. It
// starts with the first event and ends with the last, so an idle [Recorder] has none.
// Events that come while the queue is full or the API server does not accept them are
// left out and counted.
//
// The name of a Kubernetes Event follows from its object, its reason and its subject. So
// the API server accepts each happening only once for as long as it keeps the event,
// usually an hour, however many processes record it and however often.
package kube
