// Package dedup makes sure that an alert has exactly one active RemediationRequest.
//
// # The promise
//
// At quiescence there is at most one active RemediationRequest of ours per fingerprint
// and namespace. Its occurrence count is the number of distinct keys that were settled on
// it. This holds for any interleaving of handlers, replicas, crashes, redeliveries, phase
// changes and deletions. A key identifies one occurrence of an alert, see [Key]. Settling
// a key again has no further effect and returns the same outcome, as long as fewer than
// [MinKeys] other keys came in between.
//
// A call blocks no longer than its context allows. No lock is held during an API call. An
// error loses nothing: settling the same keys again, in any replica, finishes the work. A
// batch runs in a goroutine that ends by the latest deadline of its callers. Two other
// goroutines can outlive a call: the Get of the brake, and the deletion of old objects
// (history.go). [Deduplicator.Close] ends these.
//
// # The protocol
//
// The past of a fingerprint is all of its RemediationRequests. A handler repeats one step
// until nothing is left to do: it lists the past, uncached, decides, and makes at most
// one change.
//
//   - Every key is on record: the keys are settled, and the record holds their outcome.
//   - Two objects of ours are active: merge. The handler adds the record of the younger
//     object to the older one, and then deletes the younger one, which we call the
//     duplicate. Both writes have a precondition. If a controller works only on the
//     younger object, and the two do not come from a race, the younger one stays.
//   - An object is active, or the last object is terminal and asks for quiet: count. One
//     conditional status patch adds the keys and the count together.
//   - Otherwise, while the brake is on: the handler makes nothing, see brake.go.
//   - Otherwise: create. The name follows from the fingerprint, its last terminal object
//     and the ten seconds in which the List was made. Handlers that see the same past in
//     the same ten seconds choose the same name, so the API server decides which of them
//     was first. A name is not used again after its object was deleted.
//
// A create does not settle the key that it was made for: the handler lists again before
// it answers. Two handlers can see different pasts when somebody deletes the last
// terminal object between their Lists, or when they list in different spans of ten
// seconds. They can then create two objects, and the second List finds both.
//
// A quota that refuses a create is not an outage. The API server checks the quota before
// the name, so the handler lists once more. The alert is settled without an object only
// if that List shows that no other handler has made one.
//
// # The files of the protocol
//
// Read these first, in this order:
//
//   - decide.go: the decision, a pure function.
//   - protocol.go: the loop, and the interface of the package.
//   - handler.go: the List before each decision, and the changes. create.go and brake.go:
//     how an object is made, and when it is not.
//   - object.go: what the protocol reads of an object; names, ages and order.
//   - patch.go: the status patches that count and merge. record.go: the record of counted
//     keys, which is the message of a status condition.
//   - fold.go and state.go: alerts of one fingerprint with different labels, and which of
//     them still fire. resolve.go: how the end of an alert is noted.
//   - request.go, api.go and wire.go: the object that is created, the API calls, and the
//     decoding of answers.
//   - history.go: the deletion of old ended objects.
//   - limits.go: all bounds, with their reasons.
//
// # The files that save calls and memory
//
// You may leave these out at first. They decide nothing, and the protocol is right with
// and without them. They have one visible effect: for one second ([noneUnlabelledFor]) a
// List for several fingerprints can miss an object that another program made, or whose
// label another program removed.
//
//   - cache.go: the past as the last List showed it replaces the next List, if a
//     conditional patch of an active object is all that follows.
//   - settlebatch.go: while a settlement for a fingerprint is running, later deliveries
//     queue, and are then settled together with one List and one patch.
//   - listbatch.go: while a List is running in a namespace, Lists of other fingerprints
//     queue, and are then made as one List.
//   - limiter.go: limits the concurrent API calls, and lowers the limit when the API
//     server answers 429.
//   - pages.go, scan.go, answer.go and reduce.go: a List is decoded as a stream, in
//     bounded memory, and a long past is reduced to what a decision can depend on.
//
// # Beside the protocol
//
// Forecasts (forecast.go), events that are too old (recall.go), and the lists for onefire
// list and onefire prune (listing.go, ended.go) use the same decision or the same reading
// of an object. trace.go links spans.
package dedup
