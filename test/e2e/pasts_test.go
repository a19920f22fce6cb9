package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/dedup"
	"onefire/function"
	"onefire/test/history"
	"onefire/test/kubefault"
)

// scene is one fingerprint.
type scene struct {
	*sabotage
	*passage
	pod     string
	history *history.Recorder
	mu      sync.Mutex
	answers map[string]function.AlertSummary
}

func (s *sabotage) scene(past string) *scene {
	way := s.now
	if pasts[past].old {
		way = s.hourLater
	}
	pod := fmt.Sprintf("api-%d", s.runs.Add(1))
	return &scene{sabotage: s, passage: way, pod: pod, answers: map[string]function.AlertSummary{}, history: &history.Recorder{}}
}

// past is what was before the events of a run.
type past struct {
	make func(ctx context.Context, s *scene) error
	// old tells that all of it was made an hour ago, so that it can be remembered. Nothing
	// is made after that: what the API server stamps now would be an hour old too, and
	// nobody would wait for an object that is made beside it at the edge of a span of names.
	old bool
}

var pasts = map[string]past{
	"nothing":       {make: func(context.Context, *scene) error { return nil }},
	"an active one": {old: true, make: func(ctx context.Context, s *scene) error { return s.fire(ctx, "before") }},
	"a remembered one": {old: true, make: func(ctx context.Context, s *scene) error {
		for _, event := range []string{"before", "x", "y", "z"} { // To both processes.
			if err := s.fire(ctx, event); err != nil {
				return err
			}
		}
		return nil
	}},
	"a terminal one": {make: func(ctx context.Context, s *scene) error {
		if err := s.fire(ctx, "before"); err != nil {
			return err
		}
		return s.complete(ctx, s.answers["before"])
	}},
	"a hash collision": {make: func(_ context.Context, s *scene) error {
		s.collides()
		return nil
	}},
	"twins": {old: true, make: func(ctx context.Context, s *scene) error {
		if err := s.fire(ctx, "before"); err != nil {
			return err
		}
		return s.twin(ctx, s.answers["before"])
	}},
}

func (s *scene) complete(ctx context.Context, a function.AlertSummary) error {
	done := s.history.End(a.Object)
	_, err := s.objects.Patch(ctx, nameOf(a), types.MergePatchType, []byte(`{"status":{"overallPhase":"Completed"}}`), metav1.PatchOptions{}, "status")
	done()
	return err
}

// twin makes a second active object, as a handler does that has seen another
// past and crashes before it looks.
func (s *scene) twin(ctx context.Context, a function.AlertSummary) error {
	keys, _ := s.enter(s.t, s.id("twin"), s.body("firing"))
	o, err := s.objects.Get(ctx, nameOf(a), metav1.GetOptions{})
	if err != nil {
		return err
	}
	twin := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "spec": o.Object["spec"],
	}}
	twin.SetName(o.GetName()[:len(o.GetName())-4] + "twin")
	twin.SetLabels(o.GetLabels())
	twin.SetAnnotations(map[string]string{"onefire/event": keys[0]})
	if _, err = s.objects.Create(ctx, twin, metav1.CreateOptions{}); err != nil {
		return err
	}
	s.answer(keys)
	return nil
}

// collision is a fingerprint whose names other fingerprints hold.
type collision struct {
	fingerprint string
	// held are the names that were asked for and were held.
	held map[string]bool
}

// collides lets another fingerprint hold each name that this one would get first.
func (s *scene) collides() {
	fingerprint := s.fingerprint()
	s.sabotage.mu.Lock()
	defer s.sabotage.mu.Unlock()
	s.colliding[fingerprint[:12]] = &collision{fingerprint, map[string]bool{}}
}

// collided asks that names did collide, and that an object has another name.
func (s *scene) collided(name string) error {
	s.sabotage.mu.Lock()
	defer s.sabotage.mu.Unlock()
	c := s.colliding[s.fingerprint()[:12]]
	switch {
	case c == nil:
		return nil
	case len(c.held) == 0:
		return fmt.Errorf("no name collided: %s was made", name)
	case c.held[name]:
		return fmt.Errorf("the object has a name that another fingerprint holds: %s", name)
	}
	return nil
}

// collide makes another fingerprint's object under a name that is asked for, if names of
// that fingerprint collide and it is the first of a span. It is there before the API
// server sees the create.
func (s *sabotage) collide(c kubefault.Call) {
	s.mu.Lock()
	ours := s.colliding[c.Subjects[0]]
	s.mu.Unlock()
	if ours == nil || !unsalted(c.Name, ours.fingerprint) {
		return
	}
	other := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{
			// It begins the same, and has the same label: Lists of several fingerprints show it.
			"signalFingerprint": ours.fingerprint[:12] + strings.Repeat("0", 52), "signalName": "Other", "severity": "low", "signalType": "alert",
			"targetType": "kubernetes", "targetResource": map[string]any{"kind": "Pod", "name": "other"},
			"firingTime": "2026-01-17T11:00:00Z", "receivedTime": "2026-01-17T11:00:00Z",
		},
	}}
	other.SetAPIVersion(dedup.Resource.GroupVersion().String())
	other.SetKind("RemediationRequest")
	other.SetName(c.Name)
	other.SetLabels(map[string]string{"onefire/fingerprint": ours.fingerprint[:12]})
	_, err := s.objects.Create(s.t.Context(), other, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return
	}
	if assert.NoError(s.t, err) {
		s.mu.Lock()
		defer s.mu.Unlock()
		ours.held[c.Name] = true
	}
}

// unsalted tells whether a name is the one that a fingerprint without a past gets first,
// in this span of time or in one that its event may have begun in.
func unsalted(name, fingerprint string) bool {
	const span = 10 * time.Second // dedup.nameSpan
	for listed := time.Now().Truncate(span); time.Since(listed) < time.Minute; listed = listed.Add(-span) {
		if name == fmt.Sprintf("rr-%s-%.4x", fingerprint[:12], sha256.Sum256(fmt.Appendf(nil, "%s::%d", fingerprint, listed.Unix()))) {
			return true
		}
	}
	return false
}
