package dedup

import (
	"context"
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

var resource = Resource.GroupResource()

// store is a linearizable API server in memory: uncached Lists, unique names,
// resource versions, preconditions, creation times in whole seconds, status
// dropped on create and metadata ignored by a status patch. It is driven from
// one goroutine at a time.
type store struct {
	objects map[string]*unstructured.Unstructured
	version int
	// perSecond is how many creates fall into one second.
	perSecond int
	created   int
	made      map[string]int
	deleted   []*unstructured.Unstructured
	// prunes makes it a CRD that knows neither our fields nor a default count.
	prunes bool
}

func newStore() *store {
	return &store{objects: map[string]*unstructured.Unstructured{}, made: map[string]int{}, perSecond: 3}
}

func (s *store) next() string {
	s.version++
	return strconv.Itoa(s.version)
}

func (s *store) List(_ context.Context, _, fingerprint string) ([]unstructured.Unstructured, time.Time, error) {
	var out []unstructured.Unstructured
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		if o := s.objects[name]; observe(o).fingerprint == fingerprint {
			out = append(out, *o.DeepCopy())
		}
	}
	return out, epoch, nil
}

func (s *store) Get(_ context.Context, _, name string) (*unstructured.Unstructured, error) {
	if o, ok := s.objects[name]; ok {
		return o.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(resource, name)
}

func (s *store) Create(_ context.Context, _ string, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if _, ok := s.objects[o.GetName()]; ok {
		return nil, apierrors.NewAlreadyExists(resource, o.GetName())
	}
	o = o.DeepCopy()
	// The UIDs of a name do not depend on what happens to other names, so that
	// runs which differ only in that reach the same states.
	s.made[o.GetName()]++
	o.SetUID(types.UID(fmt.Sprintf("%s-%d", o.GetName(), s.made[o.GetName()])))
	o.SetResourceVersion(s.next())
	o.SetCreationTimestamp(metav1.NewTime(epoch.Add(time.Duration(s.created/s.perSecond) * time.Second)))
	s.created++
	delete(o.Object, "status")
	if !s.prunes {
		o.Object["status"] = map[string]any{"deduplication": map[string]any{"occurrenceCount": int64(1)}}
	}
	s.objects[o.GetName()] = o
	return o.DeepCopy(), nil
}

func (s *store) PatchStatus(_ context.Context, _, name string, patch map[string]any) error {
	o, ok := s.objects[name]
	if !ok {
		return apierrors.NewNotFound(resource, name)
	}
	if rv, _, _ := unstructured.NestedString(patch, "metadata", "resourceVersion"); rv != "" && rv != o.GetResourceVersion() {
		return apierrors.NewConflict(resource, name, errors.New("it has changed"))
	}
	status, _ := o.Object["status"].(map[string]any)
	o.Object["status"] = merge(status, patch["status"].(map[string]any))
	if s.prunes {
		unstructured.RemoveNestedField(o.Object, "status", "deduplication", "events")
		unstructured.RemoveNestedField(o.Object, "status", "deduplication", "absorbed")
	}
	o.SetResourceVersion(s.next())
	return nil
}

func (s *store) Delete(_ context.Context, _, name string, uid types.UID, resourceVersion string) error {
	o, ok := s.objects[name]
	if !ok {
		return apierrors.NewNotFound(resource, name)
	}
	if o.GetUID() != uid || o.GetResourceVersion() != resourceVersion {
		return apierrors.NewConflict(resource, name, errors.New("it has changed"))
	}
	delete(s.objects, name)
	return nil
}

// merge is RFC 7396, with numbers as the API server decodes them.
func merge(into, patch map[string]any) map[string]any {
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
			out[k] = merge(old, v)
		case int32:
			out[k] = int64(v)
		default:
			out[k] = v
		}
	}
	return out
}

// The rest are the deeds of others: controllers, retention, people.

func (s *store) setPhase(name, phase string) {
	o := s.objects[name]
	status, _ := o.Object["status"].(map[string]any)
	o.Object["status"] = merge(status, map[string]any{"overallPhase": phase})
	o.SetResourceVersion(s.next())
}

func (s *store) remove(name string) {
	s.deleted = append(s.deleted, s.objects[name])
	delete(s.objects, name)
}

func (s *store) addForeign(fingerprint, name string) {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"signalFingerprint": fingerprint}}}
	u.SetName(name)
	if _, err := s.Create(context.Background(), "", u); err != nil {
		panic(err)
	}
}

// all returns every object, oldest first.
func (s *store) all() []object {
	var out []object
	for _, o := range s.objects {
		out = append(out, observe(o))
	}
	slices.SortFunc(out, byAge)
	return out
}
