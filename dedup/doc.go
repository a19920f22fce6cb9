// Package dedup makes one alert exactly one active RemediationRequest.
//
// # The promise
//
// At quiescence there is at most one active RemediationRequest of ours per
// fingerprint and namespace, and its occurrence count is the number of distinct
// event keys that were settled on it, whatever the interleaving of handlers,
// replicas, crashes, redeliveries, phase changes and deletions. An event key
// that is settled again has no further effect and gives the same outcome, as
// long as fewer than [MaxEvents] others came between.
//
// # The protocol
//
// A handler repeats one step until nothing is left to do: List the fingerprint's
// objects uncached, decide, make at most one change, look again.
//
//   - Every key is on record: settled. What the record says is the outcome.
//   - Two active objects of ours: heal. The record of the younger goes to the
//     older, then the younger is deleted, each under a precondition. Where a
//     controller works on the younger alone, and no race made the two, it stays.
//   - An active object, or a last one that is terminal and asks for quiet:
//     count, with one conditional status patch that adds keys and count together.
//   - Otherwise, while the brake is on: nothing. See brake.go.
//   - Otherwise: create, under a name that follows from the fingerprint, its last
//     terminal object and the span of time of the List. All who see the same past in
//     the same span choose the same name, so the API server itself decides who was
//     first, and a name does not come again when its object was deleted.
//
// A quota's refusal of a create is no outage. But the API server asks the quota before it
// looks at the name, so the next round's List shows whether somebody else made the object;
// where nobody did, nothing is made.
//
// The look after a create is the next round's List: two handlers can hold
// different pasts when somebody deletes the last terminal object between their
// Lists, or list in different spans, and would otherwise leave two active
// objects behind.
//
// What was counted is on record in a status condition: see record.go. The patch
// that counts an alert also names it, if its labels are not the object's own: see
// fold.go.
//
// The decision is a pure function in decide.go; protocol.go repeats it, and
// handler.go is the only code that acts on it.
//
// # What saves calls
//
// None of it decides anything: the protocol holds with all of it, and without.
// Only what others make, or take a label off, can go unseen for a second by a
// gathered List: see emptyFor in limits.go.
//
//   - gather.go: Lists of several fingerprints that would wait for each other
//     are made as one, which began after all had asked.
//   - share.go: deliveries of one fingerprint that would wait for each other are
//     settled together, with one patch, and each is answered after it; those of
//     alerts that fire with each other, and those of alerts that have ended.
//   - memory.go: what a List showed stands in for the next List, if all that
//     follows from it is a conditional patch of an active object.
//   - window.go: calls under way are bounded, and fewer when the API server says
//     that it has too much to do.
//
// Nothing here blocks longer than its context allows or holds a lock across a
// call. A goroutine is started only for who waits together, and ends by the latest
// deadline among them; for a Get of the brake, which has a deadline of its own; and
// for a history that is too long (history.go). The last two end with
// [Deduplicator.Close]. Each fingerprint has at most one such settlement under way,
// and each namespace one such List, unless that is stuck.
package dedup
