// Package events tells the story of alerts where people look for it: as Events
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
package events
