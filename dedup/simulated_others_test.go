package dedup

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// pruneStatus takes out of status.deduplication what the type of other controllers
// does not have.
func pruneStatus(o *unstructured.Unstructured) {
	for _, field := range []string{"events", "absorbed", "alerts", "alertsOmitted", "alertStates", "lastResolvedAt"} {
		unstructured.RemoveNestedField(o.Object, "status", "deduplication", field)
	}
}

// rewrite has a controller write the whole status in a type of its own, with a
// condition of its own, as one does at each change of a phase.
func (s *store) rewrite(name string) {
	s.put(s.objects[name], func(o *unstructured.Unstructured) {
		pruneStatus(o)
		conditions, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
		if err != nil {
			panic(err)
		}
		own := map[string]any{"type": "Ready", "status": "False", "reason": "Processing", "message": "", "lastTransitionTime": formatTime(s.now)}
		conditions = slices.DeleteFunc(conditions, func(c any) bool { return c.(map[string]any)["type"] == "Ready" })
		if err := unstructured.SetNestedSlice(o.Object, append([]any{own}, conditions...), "status", "conditions"); err != nil {
			panic(err)
		}
		if err := unstructured.SetNestedField(o.Object, "Processing", "status", "overallPhase"); err != nil {
			panic(err)
		}
	})
}

// The rest are the deeds of others: controllers, retention, people.

// completed is the terminal phase of all runs.
const completed = "Completed"

func (s *store) complete(name string) {
	s.setStatus(name, map[string]any{"overallPhase": completed})
}

// review completes an object that a person must look at before another is made.
func (s *store) review(name string) {
	s.setStatus(name, map[string]any{"overallPhase": completed, "outcome": "ManualReviewRequired"})
}

// backOff completes an object that allows no other within a minute.
func (s *store) backOff(name string) {
	s.setStatus(name, map[string]any{"overallPhase": completed, "nextAllowedExecution": formatTime(s.now.Add(time.Minute))})
}

// remove deletes an object, as retention or a user does.
func (s *store) remove(name string) {
	s.deleted = append(s.deleted, s.seen[name])
	s.end(name)
}

// relabel has somebody change an object's label, or take it off.
func (s *store) relabel(name, label string) {
	s.put(s.objects[name], func(o *unstructured.Unstructured) {
		labels := o.GetLabels()
		if labels[fingerprintLabel] = label; label == "" {
			delete(labels, fingerprintLabel)
		}
		o.SetLabels(labels)
	})
}

// earlier puts an object's record into the form of an earlier version, which kept it
// in fields of status.deduplication and said no times of counts. A CRD that is not
// ours kept none of that.
func (s *store) earlier(name string) {
	if s.prunes {
		return
	}
	s.put(s.objects[name], func(o *unstructured.Unstructured) {
		see := s.seen[name].object
		events, states := map[string]any{}, map[string]any{}
		for key, m := range see.events {
			if key != see.createdFor {
				events[key] = int64(m.count)
			}
		}
		for id, st := range see.states {
			states[id] = map[string]any{"firingSeenAt": st.firing.Format(time.RFC3339Nano)}
		}
		d := o.Object["status"].(map[string]any)["deduplication"].(map[string]any)
		d["events"], d["alertStates"] = events, states
		unstructured.RemoveNestedField(o.Object, "status", "conditions")
	})
}

func (s *store) addForeign(fingerprint, name string) {
	body := map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{"signalFingerprint": fingerprint}}
	if _, err := s.create(context.Background(), "", body); err != nil {
		panic(err)
	}
}
