package e2e

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/dedup"
	"onefire/test/datastorage"
	"onefire/test/kubefault"
)

// choose lets some API calls fail.
func (s *storm) choose(kubefault.Call) kubefault.Fault {
	if s.healed.Load() {
		return kubefault.Fault{}
	}
	kinds := kubefault.Kinds()
	switch roll := s.roll(1000); {
	case roll < apiHangs:
		return kubefault.Fault{Kind: kubefault.Hang, After: s.roll(2) == 0}
	case roll < apiHangs+apiFaults:
		return kubefault.Fault{Kind: kinds[s.roll(len(kinds))], After: s.roll(2) == 0}
	}
	return kubefault.Fault{}
}

// poison makes DataStorage refuse for good what is poisoned, even when it is healed.
func (s *storm) poison() {
	s.data.Inject(datastorage.Fault{
		Status: http.StatusBadRequest, Match: func(b []byte) bool { return strings.Contains(string(b), "poison") }, Lasting: true,
	})
}

// troubleDataStorage makes DataStorage fail for some posts in a row, now and then.
func (s *storm) troubleDataStorage(ctx context.Context) {
	faults := map[string]datastorage.Fault{
		"refuses":                {Refuse: true, Times: 5},
		"is slow":                {Delay: 300 * time.Millisecond, Times: 5},
		"hangs":                  {Delay: 6 * time.Second, Times: 1},
		"answers 429":            {Status: http.StatusTooManyRequests, RetryAfter: "1", Times: 3},
		"answers 202":            {Status: http.StatusAccepted, Times: 20},
		"answers 413":            {Status: http.StatusRequestEntityTooLarge, Times: 1},
		"answers 503":            {Status: http.StatusServiceUnavailable, Times: 5},
		"stores, and hangs up":   {DropAnswer: true, Times: 5},
		"stores, and hangs late": {DropAnswer: true, Delay: time.Second, Times: 2},
	}
	names := slices.Sorted(maps.Keys(faults))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(400 * time.Millisecond):
			if met, of := s.data.Befallen(); met*1000 > of*sinkFaults {
				continue
			}
			name := names[s.roll(len(names))]
			s.troubles[name]++
			s.data.Inject(faults[name])
		}
	}
}

// control does what others do to objects: a controller's phases, retention, a
// user's deletion.
func (s *storm) control(ctx context.Context) error {
	pods := s.pods()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Millisecond):
		}
		pod := pods[s.roll(len(pods))]
		if s.roll(2) == 0 { // Much happens to the objects of a few.
			pod = pods[s.roll(10)]
		}
		l, err := s.objects.List(s.t.Context(), metav1.ListOptions{FieldSelector: "spec.signalFingerprint=" + s.fingerprints[pod]})
		if err != nil {
			return err
		}
		active := 0
		for i := range l.Items {
			o := &l.Items[i]
			if !terminal(o) {
				active++
			}
			if err := s.touch(pod, o); err != nil {
				return err
			}
		}
		if active > 1 {
			s.did("sees twins before they are healed")
		}
	}
}

// touch may do something to an object.
func (s *storm) touch(pod string, o *unstructured.Unstructured) error {
	h := s.histories[pod]
	over, roll := terminal(o), s.roll(100)
	switch {
	case over && h == nil && roll < 30:
		return s.delete("retention deletes", o)
	case over:
		return nil
	case roll < 30 && !full(o):
		_, err := s.phase("a controller starts", o, "Processing")
		return err
	// These stay until the history limit deletes them: they are few enough for a long soak.
	case h != nil && (roll < 40 || full(o)):
		done := h.End(o.GetNamespace() + "/" + o.GetName())
		ended, err := s.phase("a controller completes", o, "Completed")
		if ended {
			done()
		}
		return err
	case h == nil && (roll < 60 || full(o)):
		_, err := s.phase("a controller fails", o, "Failed")
		return err
	case roll < 70 && h == nil:
		return s.delete("a user deletes", o)
	}
	return nil
}

// full tells whether an object has so many keys on record that it must end soon, because
// the ledger wants all of them there. On a busy machine controllers come by seldom.
func full(o *unstructured.Unstructured) bool { return count(o) > dedup.MinKeys/2 }

// phase changes an object's phase if nobody changed the object meanwhile, and
// tells whether. It writes the whole status as a controller does that has a type for
// it: of status.deduplication that knows the count and its times.
func (s *storm) phase(deed string, o *unstructured.Unstructured, phase string) (bool, error) {
	o = o.DeepCopy()
	for _, field := range []string{"alerts", "alertsOmitted", "lastResolvedAt"} {
		unstructured.RemoveNestedField(o.Object, "status", "deduplication", field)
	}
	conditions, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
	if err != nil {
		return false, err
	}
	conditions = slices.DeleteFunc(conditions, func(c any) bool { return c.(map[string]any)["type"] == "Ready" })
	conditions = append([]any{map[string]any{
		"type": "Ready", "status": "False", "reason": phase, "message": "", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
	}}, conditions...)
	for _, err := range []error{
		unstructured.SetNestedSlice(o.Object, conditions, "status", "conditions"),
		unstructured.SetNestedField(o.Object, phase, "status", "overallPhase"),
	} {
		if err != nil {
			return false, err
		}
	}
	if phase == "Failed" && s.roll(2) == 0 {
		if err := unstructured.SetNestedField(o.Object, longAgo(), "status", "completedAt"); err != nil {
			return false, err
		}
	}
	_, err = s.objects.UpdateStatus(s.t.Context(), o, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false, nil
	}
	if err == nil {
		s.did(deed)
	}
	return err == nil, err
}

// delete deletes an object as it was read, so that it is known what it counted.
func (s *storm) delete(deed string, o *unstructured.Unstructured) error {
	begun, uid, version := time.Now(), o.GetUID(), o.GetResourceVersion()
	err := s.objects.Delete(s.t.Context(), o.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.remove(o, begun)
	s.did(deed)
	return nil
}

func (s *storm) did(deed string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deeds[deed]++
}
