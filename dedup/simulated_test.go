package dedup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// epoch is when every simulated run begins.
var epoch = time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)

// pass lets time go by: in synctest.Test, where the clock is the test's own, it
// takes none.
func pass(d time.Duration) {
	time.Sleep(d) // In a bubble of synctest this only moves its clock on; nothing waits.
}

var resource = Resource.GroupResource()

// store is a linearizable API server in memory: uncached Lists, unique names,
// resource versions, preconditions, creation times in whole seconds, finalizers,
// status dropped on create and metadata ignored by a status patch. It is driven
// from one goroutine at a time. A revision of an object is never changed once
// it is here, so reads and clones share it.
type store struct {
	objects map[string]*unstructured.Unstructured
	// seen is what the protocol sees of each object.
	seen map[string]seen
	// made and writes count by name. So neither UIDs nor resource versions of a
	// name depend on what happens to other names, and runs that differ only in
	// that reach the same states.
	made, writes map[string]int
	// named is when each name was first used.
	named   map[string]time.Time
	created int
	// perSecond is how many creates fall into one second.
	perSecond int
	now       time.Time
	// deleted are the objects that others deleted, as they were then.
	deleted []seen
	// prunes makes it a CRD that is not ours: of status.deduplication it knows three
	// fields, and no default count. If it is forgetful it keeps no conditions either.
	prunes, forgetful bool
	// strips makes an admission policy take our annotations off what is created, and
	// disowns makes it say that somebody else manages that.
	strips, disowns bool
	// finalizers let a deleted object stay, marked, until somebody drops it.
	finalizers bool
	// braked is set while the brake is on, which handlers are told of. quota, if it is not
	// zero, is how many objects there may be, one more than that.
	braked bool
	quota  int
	// ahead is how far the clock that Lists are answered with is ahead of the one that
	// objects are stamped with.
	ahead time.Duration
	// stamp is when the next create was stamped, if that was before it is stored.
	stamp time.Time
	// long, if it is not zero, is from how many objects on a past is not kept whole.
	long int
	// cache entries are what replicas remember; at is the one whose handler is next.
	entries map[int]cacheEntry
	at      int
}

// seen is a revision as the protocol reads it, and that as a text.
type seen struct {
	object
	label string
	text  string
}

// wire reads an object as the API server would send it.
func wire(u *unstructured.Unstructured) object {
	body, err := json.Marshal(u.Object)
	if err != nil {
		panic(err)
	}
	var w wireObject
	if err := decode(body, &w); err != nil {
		panic(err)
	}
	return w.observe()
}

func newStore() *store {
	return &store{
		objects: map[string]*unstructured.Unstructured{}, seen: map[string]seen{},
		made: map[string]int{}, writes: map[string]int{}, named: map[string]time.Time{}, perSecond: 3, now: epoch, entries: map[int]cacheEntry{},
	}
}

func (s *store) clone() *store {
	c := *s
	c.objects, c.seen = maps.Clone(s.objects), maps.Clone(s.seen)
	c.made, c.writes, c.entries = maps.Clone(s.made), maps.Clone(s.writes), maps.Clone(s.entries)
	c.named, c.deleted = maps.Clone(s.named), slices.Clip(s.deleted)
	return &c
}

// put makes an object's next revision of a copy.
func (s *store) put(o *unstructured.Unstructured, change func(*unstructured.Unstructured)) {
	name := o.GetName()
	o = o.DeepCopy()
	change(o)
	s.writes[name]++
	o.SetResourceVersion(strconv.Itoa(s.writes[name]))
	see, by := wire(o), o.GetLabels()[fingerprintLabel]
	s.objects[name], s.seen[name] = o, seen{see, by, fmt.Sprintf("%v", see)}
}

func (s *store) drop(name string) {
	delete(s.objects, name)
	delete(s.seen, name)
}

func (s *store) list(_ context.Context, _ string, by selector) ([]object, time.Time, error) {
	out := newPastReducer(by.keys, func(int) error { return nil })
	if s.long > 0 {
		out.maxWhole, out.keepEnded = s.long, s.perSecond
	}
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		o := s.seen[name]
		switch {
		case by.active && terminalPhases[o.phase]:
		case by.fingerprint != "" && o.fingerprint == by.fingerprint,
			by.fingerprint == "" && by.labels != nil && slices.Contains(by.labels, o.label),
			by.fingerprint == "" && by.labels == nil && o.label == "":
			if err := out.add(o.object); err != nil {
				panic(err)
			}
		}
	}
	return out.objects(), s.now.Add(s.ahead), nil
}

func (s *store) get(_ context.Context, _, name string) (object, error) {
	if o, ok := s.seen[name]; ok {
		return o.object, nil
	}
	return object{}, apierrors.NewNotFound(resource, name)
}

func (s *store) create(_ context.Context, _ string, body map[string]any) (types.UID, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	o := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &o.Object); err != nil {
		return "", err
	}
	name := o.GetName()
	if s.full() { // The quota is asked before the name.
		return "", exceeded(name)
	}
	if _, ok := s.objects[name]; ok {
		return "", apierrors.NewAlreadyExists(resource, name)
	}
	if s.made[name]++; s.made[name] == 1 {
		s.named[name] = s.now.Add(s.ahead)
	}
	at := s.stamp
	if at.IsZero() {
		at = s.stampNow()
	}
	s.created++
	s.put(o, func(o *unstructured.Unstructured) {
		o.SetUID(types.UID(fmt.Sprintf("%s-%d", name, s.made[name])))
		o.SetCreationTimestamp(metav1.NewTime(at))
		if s.strips {
			o.SetAnnotations(nil)
		}
		if s.disowns {
			o.SetLabels(map[string]string{managedByLabel: "somebody", fingerprintLabel: o.GetLabels()[fingerprintLabel]})
		}
		delete(o.Object, "status")
		if !s.prunes {
			o.Object["status"] = map[string]any{"deduplication": map[string]any{"occurrenceCount": int64(1)}}
		}
	})
	return s.seen[name].uid, nil
}

// stampNow is the creation time of what is stamped now.
func (s *store) stampNow() time.Time {
	return s.now.Add(time.Duration(s.created/s.perSecond) * time.Second)
}

// full tells that the quota allows no more objects.
func (s *store) full() bool { return s.quota > 0 && len(s.objects) >= s.quota-1 }

// exceeded is a quota's refusal: testdata/refusals/quota.json is a real one.
func exceeded(name string) error {
	return apierrors.NewForbidden(resource, name, errors.New("exceeded quota: q, requested: count/remediationrequests.kubernaut.ai=1"))
}

func (s *store) patchStatus(_ context.Context, _, name string, patch map[string]any) (string, error) {
	o, ok := s.objects[name]
	if !ok {
		return "", apierrors.NewNotFound(resource, name)
	}
	if rv, _, _ := unstructured.NestedString(patch, "metadata", "resourceVersion"); rv != "" && rv != o.GetResourceVersion() {
		return "", apierrors.NewConflict(resource, name, errors.New("it has changed"))
	}
	text, err := json.Marshal(patch["status"])
	if err != nil {
		return "", err
	}
	var status map[string]any
	if err := json.Unmarshal(text, &status); err != nil {
		return "", err
	}
	s.setStatus(name, status)
	return s.seen[name].resourceVersion, nil
}

func (s *store) setStatus(name string, patch map[string]any) {
	s.put(s.objects[name], func(o *unstructured.Unstructured) {
		status, _ := o.Object["status"].(map[string]any)
		o.Object["status"] = mergePatch(status, patch)
		if s.prunes {
			pruneStatus(o)
		}
		if s.forgetful {
			unstructured.RemoveNestedField(o.Object, "status", "conditions")
		}
	})
}

// delete takes an empty precondition for none.
func (s *store) delete(_ context.Context, _, name string, uid types.UID, resourceVersion string) error {
	o, ok := s.objects[name]
	if !ok {
		return apierrors.NewNotFound(resource, name)
	}
	if uid != "" && o.GetUID() != uid || resourceVersion != "" && o.GetResourceVersion() != resourceVersion {
		return apierrors.NewConflict(resource, name, errors.New("it has changed"))
	}
	s.end(name)
	return nil
}

// end deletes an object, or marks it where it has a finalizer.
func (s *store) end(name string) {
	switch {
	case !s.finalizers:
		s.drop(name)
	case !s.seen[name].deleting:
		at := metav1.NewTime(s.now)
		s.put(s.objects[name], func(o *unstructured.Unstructured) { o.SetDeletionTimestamp(&at) })
	}
}

// mergePatch is RFC 7396.
func mergePatch(into, patch map[string]any) map[string]any {
	out := maps.Clone(into)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case map[string]any:
			old, _ := out[k].(map[string]any)
			out[k] = mergePatch(old, v)
		default:
			out[k] = v
		}
	}
	return out
}

// all returns every object, oldest first.
func (s *store) all() []object {
	var out []object
	for _, o := range s.seen {
		out = append(out, o.object)
	}
	slices.SortFunc(out, byAge)
	return out
}
