//go:build !race

package dedup

import (
	"fmt"
	"time"
)

// old makes n objects of ours, one after the other, and all are terminal.
func old(s *store, n int) (names []string) {
	for range n {
		names = append(names, made(s, fmt.Sprint("old", s.created)))
		s.complete(names[len(names)-1])
	}
	return names
}

// crowd makes an active object with n other alerts.
func crowd(s *store, n int) {
	keys := []string{"old"}
	for i := range n {
		keys = append(keys, fmt.Sprint("crowd", i))
	}
	made(s, keys...)
	s.now = s.now.Add(time.Hour)
}

// gap makes terminal objects until the last and the one two before it are not
// in the order of their names, and deletes the one between.
func gap(s *store) (last string) {
	names := old(s, 3)
	for names[len(names)-3] < names[len(names)-1] {
		names = append(names, old(s, 1)...)
	}
	s.drop(names[len(names)-2])
	return names[len(names)-1]
}

// setups are what a scenario can begin with.
var setups = map[string]func(*store){
	"nothing":            func(*store) {},
	"terminal":           func(s *store) { old(s, 1) },
	"gap":                func(s *store) { gap(s) },
	"review":             func(s *store) { s.review(old(s, 1)[0]) },
	"review-after-gap":   func(s *store) { s.review(gap(s)) },
	"review-before-last": func(s *store) { s.review(old(s, 2)[0]) },
	// An active object that nobody can have an unseen duplicate of.
	"aged": func(s *store) { made(s, "old"); s.now = s.now.Add(time.Hour) },
	// An active object that two alerts were counted on.
	"two": func(s *store) { made(s, "old", "then"); made(s, "b"); s.now = s.now.Add(time.Hour) },
	// One of two alerts beside one that is not ours.
	"two-objects": func(s *store) {
		made(s, "old", "b")
		s.addForeign(signal.Fingerprint, "foreign")
		s.now = s.now.Add(time.Hour)
	},
	// The same, where the other one is older: it had ended when ours was made.
	"older-foreign": func(s *store) {
		s.addForeign(signal.Fingerprint, "foreign")
		s.complete("foreign")
		s.now = s.now.Add(time.Minute)
		made(s, "old", "b")
		s.setStatus("foreign", map[string]any{"overallPhase": ""})
		s.now = s.now.Add(time.Hour)
	},
	// An active object that as many other alerts were folded into as it can name,
	// and one with one more.
	"crowded":  func(s *store) { crowd(s, MaxAlerts) },
	"full":     func(s *store) { crowd(s, MaxAlerts+1) },
	"back-off": func(s *store) { s.backOff(old(s, 1)[0]) },
	"foreign":  func(s *store) { s.addForeign(signal.Fingerprint, "foreign") },
	// Another fingerprint's object has the name that comes next.
	"collision": func(s *store) {
		s.addForeign(digest("another"), nameAfter(last(s.all()), signal.Fingerprint, s.now, nil))
	},
	"mislabelled": func(s *store) { s.relabel(made(s, "old"), "changed") },
	"earlier":     func(s *store) { s.earlier(made(s, "old", "b")); s.now = s.now.Add(time.Hour) },
	// More ended objects than a List keeps of a past.
	"long": func(s *store) {
		s.perSecond, s.long = 2, 1
		old(s, 2)
		made(s, "past", "then")
		s.complete(s.all()[2].name)
		old(s, 3)
		s.now = s.now.Add(time.Hour)
	},
	"pruning":   func(s *store) { s.prunes = true },
	"forgetful": func(s *store) { s.prunes, s.forgetful = true, true },
	// An ended object is active again, and a controller works on the one that followed.
	"reactivated": func(s *store) {
		ended := old(s, 1)[0]
		s.setStatus(made(s, "then"), map[string]any{"overallPhase": "Executing"})
		s.setStatus(ended, map[string]any{"overallPhase": ""})
		s.now = s.now.Add(time.Hour)
	},
	// Admission takes our annotations off what is created.
	"stripping":  func(s *store) { s.strips = true },
	"finalizers": func(s *store) { s.finalizers = true },
	// More ended objects than a short history has.
	"old": func(s *store) { old(s, 3); s.now = s.now.Add(time.Hour) },
	"old-foreign": func(s *store) {
		s.addForeign(signal.Fingerprint, "foreign")
		s.complete("foreign")
		old(s, 2)
		s.now = s.now.Add(time.Hour)
	},
	"ahead":  func(s *store) { s.ahead = time.Hour },
	"braked": func(s *store) { s.braked = true },
	// A quota that is used up, and one with room for one more.
	"no-room":    func(s *store) { s.quota = len(s.objects) + 1 },
	"room":       func(s *store) { s.quota = len(s.objects) + 2 },
	"old-review": func(s *store) { s.review(old(s, 3)[0]); s.now = s.now.Add(time.Hour) },
}

type named struct {
	name string
	scenario
}

// scenarios are explored in this order: most mistakes show in the small ones.
var scenarios = []named{
	{"a resolved alert alone", scenario{Events: "-a -a"}},
	{"the same event", scenario{Events: "a a a"}},
	{"completion for review", scenario{Events: "a b", Setup: "terminal", Budget: budget{Review: 1, Retain: 1}}},
	{"first alerts", scenario{Events: "a b c"}},
	{"one terminal before", scenario{Events: "a b c", Setup: "terminal"}},
	{"a gap before", scenario{Events: "a b c", Setup: "gap"}},
	{"a hash collision", scenario{Events: "a b", Setup: "collision", Budget: budget{FailBefore: 1, FailAfter: 1}}},
	{"a hash collision, and a user deletes", scenario{Events: "a b", Setup: "collision", Budget: budget{UserDelete: 1}}},
	{"a CRD that is not ours", scenario{Events: "a b a -a", Setup: "pruning", Budget: budget{FailAfter: 1}}},
	{"a CRD that keeps no record", scenario{Events: "a b a", Setup: "forgetful", Budget: budget{FailAfter: 1}}},
	{"an ended object that is active again", scenario{Events: "a a b", Setup: "reactivated", Budget: budget{FailBefore: 1, FailAfter: 1}}},
	{"one that is completed at last", scenario{Events: "a b -a", Setup: "reactivated", Budget: budget{Complete: 1, FailAfter: 1}}},
	{"a policy that takes annotations off", scenario{Events: "a b c", Setup: "stripping"}},
	{"a controller that writes the whole status", scenario{Events: "a b a", Budget: budget{Rewrite: 1, FailAfter: 1}}},
	{"one that does so after an end", scenario{Events: "a -a b", Setup: "two", Budget: budget{Rewrite: 2, FailAfter: 1}}},
	{"one that does so to duplicates", scenario{Events: "a b", Setup: "terminal", Budget: budget{Rewrite: 2, Retain: 1, FailAfter: 1}}},
	{"one that does so where things are remembered", scenario{Events: "a b a", Setup: "aged", means: means{Replicas: 2}, Budget: budget{Rewrite: 1, FailAfter: 1}}},
	{"an object of an earlier version", scenario{Events: "b a -b", Setup: "earlier", Budget: budget{FailAfter: 1, Complete: 1}}},
	{"first alerts at an edge, one delivered twice", scenario{Events: "a b b", Budget: budget{Edge: 1}}},
	{"first alerts at an edge, and a user deletes", scenario{Events: "a b", Budget: budget{Edge: 1, UserDelete: 1, FailAfter: 1}}},
	{"recurrences at an edge, and retention", scenario{Events: "a b", Setup: "terminal", Budget: budget{Edge: 1, Retain: 1, Complete: 1}}},
	{"one event at an edge", scenario{Events: "a a", Setup: "terminal", Budget: budget{Edge: 1, FailAfter: 1, Crash: 1}}},
	{"a history", scenario{Events: "a b", Setup: "old", PerSecond: 1, means: means{History: 1}, Budget: budget{Complete: 1, FailAfter: 1}}},
	{"a history of what was just counted", scenario{Events: "a b c", PerSecond: 1, means: means{History: 1}, Budget: budget{Complete: 2}}},
	{"a history with one of others", scenario{Events: "a", Setup: "old-foreign", PerSecond: 1, means: means{History: 1}, Budget: budget{FailAfter: 1}}},
	{"a history of one second", scenario{Events: "a b", Setup: "old", means: means{History: 1}, Budget: budget{Complete: 2}}},
	{"a history, twice the same event, and a crash", scenario{Events: "a a b", Setup: "old", PerSecond: 2, means: means{History: 1}, Budget: budget{Complete: 1, Crash: 1}}},
	{"a history with one that asks for quiet", scenario{Events: "a b", Setup: "old-review", PerSecond: 1, means: means{History: 1}, Budget: budget{Complete: 1, Review: 1, FailAfter: 1}}},
	{"a history, retention and a foreign object", scenario{Events: "a b", Setup: "old", PerSecond: 1, means: means{History: 2}, Budget: budget{Retain: 1, Foreign: 1}}},
	{"a history that a user and finalizers shorten too", scenario{Events: "a b", Setup: "finalizers old", PerSecond: 1, means: means{History: 1}, Budget: budget{UserDelete: 1}}},
	{"alerts of more kinds than an object names", scenario{Events: "a,b c", Setup: "crowded", means: means{Replicas: 1}, Budget: budget{Complete: 1, FailAfter: 1}}},
	{"alerts that are remembered", scenario{Events: "b c", Setup: "aged", means: means{Replicas: 1}, Budget: budget{FailAfter: 1}}},
	{"an alert that ends and fires again", scenario{Events: "a -a a2", Budget: budget{FailAfter: 1}}},
	{"two alerts, and one of them ends", scenario{Events: "a b -b", Setup: "two", Budget: budget{FailAfter: 1}}},
	{"two alerts end, and one fires again", scenario{Events: "-a -b b2", Setup: "two", Budget: budget{FailAfter: 1}}},
	{"ends in one event", scenario{Events: "-a,-b -a b2", Setup: "two", Budget: budget{FailAfter: 1}}},
	{"two containers, and one of them ends", scenario{Events: "d -d -a", Setup: "aged", Budget: budget{FailAfter: 1}}},
	{"ends and firing again, later and in any order", scenario{Events: "-a a2 -a2 -b", Setup: "two"}},
	{"the end of all that an object names", scenario{Events: "-crowd -a c", Setup: "crowded"}},
	{"the end of all that an object names, of more", scenario{Events: "-crowd -a b", Setup: "full"}},
	{"ends that are remembered", scenario{Events: "-a -b b2", Setup: "two", means: means{Replicas: 1}, Budget: budget{FailAfter: 1}}},
	{"ends and completion", scenario{Events: "-a -b a2", Setup: "two", Budget: budget{Complete: 1}}},
	{"ends on two objects", scenario{Events: "-a,-b b2 a2", Setup: "two-objects"}},
	{"ends beside an older object of others", scenario{Events: "-a,-b b2 -a", Setup: "older-foreign", Budget: budget{FailAfter: 1}}},
	{"an end, duplicates and a fault", scenario{Events: "a b -b", Setup: "terminal", Budget: budget{Retain: 1, FailBefore: 1}}},
	{"ends and duplicates", scenario{Events: "a b -a,-b", Setup: "terminal", Budget: budget{Retain: 1}}},
	{"duplicates of which one fires again", scenario{Events: "a b2 -b", Setup: "terminal", Budget: budget{Retain: 1}}},
	{"duplicates of one alert, and it ends", scenario{Events: "a a2 -a", Setup: "terminal", Budget: budget{Retain: 1}}},
	{"an end while an object is foreign", scenario{Events: "a -a b", Setup: "foreign", Budget: budget{FailAfter: 1}}},
	{"a user deletes", scenario{Events: "a b", Budget: budget{UserDelete: 1}}},
	{"a foreign object", scenario{Events: "a b", Budget: budget{Foreign: 1}}},
	{"several alerts of one event", scenario{Events: "a,b b,c", Budget: budget{FailAfter: 1}}},
	{"a fault before and one after", scenario{Events: "a b", Budget: budget{FailBefore: 1, FailAfter: 1}}},
	{"a crash and retention", scenario{Events: "a b", Setup: "terminal", Budget: budget{FailAfter: 1, Retain: 1}}},
	{"a crash for good", scenario{Events: "a b", Setup: "terminal", Budget: budget{Crash: 1, Retain: 1}}},
	{"delivered twice, and one List fails for good", scenario{Events: "a a", Setup: "terminal", Budget: budget{FailLast: 1, Retain: 1}}},
	{"delivered twice, and one crashes for good", scenario{Events: "a a", Setup: "terminal", Budget: budget{Crash: 1, Retain: 1}}},
	{"a review is asked for", scenario{Events: "a b", Setup: "review", Budget: budget{FailAfter: 1, Retain: 1}}},
	{"a review after a gap", scenario{Events: "a b", Setup: "review-after-gap", PerSecond: 1, Budget: budget{FailAfter: 1}}},
	{"a review before the last", scenario{Events: "a b", Setup: "review-before-last", PerSecond: 1, Budget: budget{FailAfter: 1}}},
	{"a back-off that ends", scenario{Events: "a b", Setup: "back-off", Budget: budget{Wait: 1, FailAfter: 1}}},
	{"finalizers, and a user deletes", scenario{Events: "a b", Setup: "finalizers", Budget: budget{UserDelete: 1, FailAfter: 1}}},
	{"finalizers and retention", scenario{Events: "a b", Setup: "finalizers terminal", Budget: budget{Retain: 1, FailAfter: 1}}},
	{"finalizers and a review", scenario{Events: "a b", Setup: "finalizers review", Budget: budget{Retain: 1}}},
	{"a resolved alert among others", scenario{Events: "a -a b", Budget: budget{Complete: 1}}},
	{"a resolved alert and duplicates", scenario{Events: "a b -a", Setup: "terminal", Budget: budget{Retain: 1}}},
	{"completion", scenario{Events: "a b c", Budget: budget{Complete: 1}}},
	{"completions within one second", scenario{Events: "a b c", Setup: "terminal", Budget: budget{Complete: 2}}},
	{"redelivery and completion", scenario{Events: "a a b", Budget: budget{Complete: 1, FailAfter: 1}}},
	{"redelivery and retention", scenario{Events: "a b a", Setup: "terminal", Budget: budget{Retain: 1}}},
	{"redelivery during the first try, with faults", scenario{Events: "a a", Setup: "terminal", Budget: budget{FailBefore: 2, FailAfter: 2, Retain: 1}}},
	{"several alerts and retention", scenario{Events: "a,b c", Setup: "terminal", Budget: budget{Retain: 1, FailAfter: 1}}},
	{"a hash collision and retention", scenario{Events: "a b", Setup: "terminal collision", Budget: budget{FailAfter: 1, Retain: 1}}},
	{"a hash collision and completion", scenario{Events: "a b b", Setup: "collision", Budget: budget{Complete: 2}}},
	{"a foreign object that completes", scenario{Events: "a b", Setup: "foreign", Budget: budget{Complete: 2, FailAfter: 1}}},
	{"foreign, completion and a fault", scenario{Events: "a b", Budget: budget{Foreign: 1, Complete: 1, FailAfter: 1}}},
	{"foreign, retention and a crash", scenario{Events: "a b", Setup: "terminal", Budget: budget{Foreign: 1, Retain: 1, FailAfter: 1}}},
	{"completion and retention", scenario{Events: "a b", Setup: "terminal", Budget: budget{Complete: 1, Retain: 2}}},
	{"three alerts, retention and a crash for good", scenario{Events: "a b c", Setup: "terminal", Budget: budget{Crash: 1, Retain: 1}}},
	{"retention", scenario{Events: "a b c", Setup: "terminal", Budget: budget{Retain: 1}}},
	{"first alerts at an edge", scenario{Events: "a b c", Budget: budget{Edge: 1}}},
	{"four first alerts", scenario{Events: "a b c d"}},
	{"finalizers, retention and three alerts", scenario{Events: "a b c", Setup: "finalizers terminal", Budget: budget{Retain: 1}}},
	{"three alerts, and a user deletes", scenario{Events: "a b c", Budget: budget{UserDelete: 1}}},
	{"three alerts and a foreign object", scenario{Events: "a b c", Budget: budget{Foreign: 1}}},
	{"three alerts and a hash collision", scenario{Events: "a b c", Setup: "collision", Budget: budget{FailAfter: 1}}},
	{"three alerts, completion and a fault", scenario{Events: "a b c", Budget: budget{Complete: 1, FailAfter: 1}}},
	{"three alerts, retention and a fault", scenario{Events: "a b c", Setup: "terminal", Budget: budget{Retain: 1, FailAfter: 1}}},
	{"three alerts, one delivered twice, and two faults", scenario{Events: "a a b", Budget: budget{FailBefore: 1, FailAfter: 1}}},
	{"three alerts and a back-off that ends", scenario{Events: "a b c", Setup: "back-off", Budget: budget{Wait: 1}}},
	{"batched Lists", scenario{Events: "a b", means: means{Batched: true}, Budget: budget{FailBefore: 1, FailAfter: 1}}},
	{"batched Lists and retention", scenario{Events: "a b", Setup: "terminal", means: means{Batched: true}, Budget: budget{Retain: 1, FailAfter: 1}}},
	{"batched Lists that do not ask for others", scenario{Events: "a b", Setup: "terminal", means: means{Batched: true, Blind: true}, Budget: budget{Retain: 1, Complete: 1, FailAfter: 1}}},
	{"batched Lists and a foreign object", scenario{Events: "a b", means: means{Batched: true}, Budget: budget{Foreign: 1, Complete: 1}}},
	{"batched Lists and a hash collision", scenario{Events: "a b", Setup: "collision", means: means{Batched: true}, Budget: budget{FailAfter: 1}}},
	{"batched Lists beside a foreign object", scenario{Events: "a b", Setup: "foreign", means: means{Batched: true}, Budget: budget{FailAfter: 1}}},
	{"a label that is taken off", scenario{Events: "a b", Setup: "aged", means: means{Batched: true}, Budget: budget{Unlabel: 1, Complete: 1, FailAfter: 1}}},
	{"a label that was changed", scenario{Events: "a b", Setup: "mislabelled", means: means{Batched: true}, Budget: budget{Complete: 1}}},
	{"a resolved alert after a recurrence", scenario{Events: "a -a", Setup: "aged", means: means{Replicas: 1}, Budget: budget{Complete: 1}}},
	{"memory", scenario{Events: "a b a", Setup: "aged", means: means{Replicas: 1}, Budget: budget{FailBefore: 1, FailAfter: 1}}},
	{"memory of two replicas", scenario{Events: "a b c", Setup: "aged", means: means{Replicas: 2}, Budget: budget{Complete: 1}}},
	{"memory, completion and a fault", scenario{Events: "a b a", Setup: "aged", means: means{Replicas: 1}, Budget: budget{Complete: 1, FailAfter: 1}}},
	{"memory, completion and retention", scenario{Events: "a b c", Setup: "aged", means: means{Replicas: 2}, Budget: budget{Complete: 1, Retain: 1}}},
	{"memory of what followed a terminal object", scenario{Events: "a b a c", Setup: "aged", means: means{Replicas: 1}, Budget: budget{Complete: 1, Wait: 1}}},
	{"memory, retention and age", scenario{Events: "a b c", Setup: "terminal", means: means{Replicas: 1}, Budget: budget{Retain: 1, Wait: 1}}},
	{"memory, retention and a crash before the look", scenario{Events: "a b c", Setup: "terminal", means: means{Replicas: 1}, Budget: budget{Retain: 1, FailAfter: 1}}},
	{"memory that is read again", scenario{Events: "a b c", Setup: "aged", means: means{Replicas: 1, Doubtful: true}, Budget: budget{Complete: 1, FailAfter: 1}}},
	{"memory that is read again, completion and retention", scenario{Events: "a b c", Setup: "aged", means: means{Replicas: 1, Doubtful: true}, Budget: budget{Complete: 1, Retain: 1}}},
	{"memory and a user's deletion", scenario{Events: "a b c", Setup: "aged", means: means{Replicas: 1}, Budget: budget{UserDelete: 1}}},
	{"memory and a foreign object", scenario{Events: "a b", Setup: "aged", means: means{Replicas: 1}, Budget: budget{Foreign: 1, Complete: 1}}},
	{"memory and a resolved alert", scenario{Events: "a -a b", Setup: "aged", means: means{Replicas: 1}, Budget: budget{Complete: 1, FailAfter: 1}}},
	{"memory and batched Lists", scenario{Events: "a b", Setup: "aged", means: means{Batched: true, Replicas: 1}, Budget: budget{Complete: 1, FailAfter: 1}}},
	{"a long past", scenario{Events: "a b old0", Setup: "long", Budget: budget{FailAfter: 1, Retain: 1}}},
	{"a long past and its keys", scenario{Events: "a,then old1 a", Setup: "long", Budget: budget{FailBefore: 1, Complete: 1}}},
	{"a long past that is remembered", scenario{Events: "a then b", Setup: "long aged", means: means{Replicas: 1}, Budget: budget{Complete: 1, FailAfter: 1}}},
	{"a long past and batched Lists", scenario{Events: "a then", Setup: "long", means: means{Batched: true}, Budget: budget{Retain: 1, FailAfter: 1}}},
	{"a long past and a review", scenario{Events: "a b old0", Setup: "long", Budget: budget{Complete: 1, Review: 1, Retain: 1}}},
	{"a look for active objects alone", scenario{Events: "a b c", Setup: "terminal", means: means{Apart: true}, Budget: budget{Retain: 1}}},
	{"a look for active objects alone, and a crash", scenario{Events: "a a b", Setup: "terminal", means: means{Apart: true}, Budget: budget{Retain: 1, Crash: 1}}},
	{"a look for active objects alone, and completion", scenario{Events: "a a b", Setup: "terminal", means: means{Apart: true}, Budget: budget{Complete: 1, Retain: 1}}},
	{"a look for active objects alone, of a long past", scenario{Events: "a old0 b", Setup: "long", means: means{Apart: true}, Budget: budget{Complete: 1, Retain: 1}}},
	{"a look for active objects alone, several keys", scenario{Events: "a,b b", Setup: "terminal", means: means{Apart: true}, Budget: budget{Complete: 1, Retain: 1, FailAfter: 1}}},
	{"a look for active objects alone, and a foreign one", scenario{Events: "a b", Setup: "terminal", means: means{Apart: true}, Budget: budget{Foreign: 1, Complete: 1, FailAfter: 1}}},
	{"a look for active objects alone, and a user deletes", scenario{Events: "a b", Setup: "finalizers terminal", means: means{Apart: true, Replicas: 1}, Budget: budget{UserDelete: 1, Wait: 1, FailAfter: 1}}},
	{"the brake is put on", scenario{Events: "a b", Budget: budget{Brake: 1, Complete: 1, FailAfter: 1}}},
	{"the brake, and what is on record", scenario{Events: "a,old0 b", Setup: "terminal braked", Budget: budget{Release: 1, FailBefore: 1}}},
	{"the brake is put on and let go", scenario{Events: "a b a", Budget: budget{Brake: 1, Release: 1, FailAfter: 1}}},
	{"the brake and retention", scenario{Events: "a b", Setup: "terminal", Budget: budget{Brake: 1, Retain: 1, FailBefore: 1}}},
	{"the brake beside active objects that end", scenario{Events: "a -a b", Setup: "aged braked", means: means{Replicas: 1}, Budget: budget{Complete: 1, Release: 1}}},
	{"the brake and a review", scenario{Events: "a b", Setup: "terminal", Budget: budget{Brake: 1, Review: 1, UserDelete: 1}}},
	{"the brake and batched Lists", scenario{Events: "a b", means: means{Batched: true}, Budget: budget{Brake: 1, Release: 1, Foreign: 1}}},
	{"a quota with room for one", scenario{Events: "a b c", Setup: "room", Budget: budget{FailAfter: 1}}},
	{"a quota that is used up", scenario{Events: "a,old0 b", Setup: "terminal no-room", Budget: budget{Retain: 1, FailBefore: 1}}},
	{"a quota and completion", scenario{Events: "a b a", Setup: "room", Budget: budget{Complete: 1, Retain: 1}}},
	{"a quota and retention", scenario{Events: "a b", Setup: "terminal room", means: means{Batched: true}, Budget: budget{Retain: 1, FailAfter: 1}}},
	{"a quota at an edge", scenario{Events: "a b", Setup: "room", Budget: budget{Edge: 1, FailBefore: 1}}},
	{"everything at once", scenario{Events: "a b a c", Setup: "terminal", Budget: budget{
		FailBefore: 2, FailAfter: 2, FailLast: 1, Crash: 1, Complete: 2, Review: 1, Retain: 2, UserDelete: 1, Foreign: 1, Rewrite: 1, Edge: 1, Wait: 1, Brake: 1, Release: 1,
	}}},
}
