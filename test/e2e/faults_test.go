package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/dedup"
	"onefire/function"
	"onefire/mapping"
	"onefire/test/history"
	"onefire/test/kubefault"
)

// TestEveryCallFails lets the API calls of each verb fail in turn, in each way,
// before and after their effect, while two processes handle four deliveries of
// three events of one fingerprint at once, each again until it is accepted.
func TestEveryCallFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	s := &sabotage{world: w, ledger: newLedger(), plans: map[string]*plan{}}
	way := newFaulty(t, s.choose)
	// What was made just now seems old, so that it is remembered too: nobody
	// deletes anything here between two Lists, which is what makes twins.
	way.Ahead(time.Hour)
	binary := stripped(t)
	var functions []*fn
	for range 2 {
		functions = append(functions, w.serve(w.prepare(binary, "REPLY=summary", "KUBECONFIG="+way.kubeconfig)))
	}
	var turn atomic.Int64
	s.broker = &broker{
		route: func() string { return functions[int(turn.Add(1))%len(functions)].url },
		pause: 20 * time.Millisecond, longest: time.Second,
	}

	kinds := append(kubefault.Kinds(), kubefault.Hang)
	runs, ctx := errgroup.WithContext(t.Context())
	runs.SetLimit(24)
	for past := range pasts {
		for _, verb := range verbs {
			for _, kind := range kinds {
				for _, after := range []bool{false, true} {
					runs.Go(func() error {
						return s.each(ctx, past, plan{verb: verb, fault: kubefault.Fault{Kind: kind, After: after}})
					})
				}
			}
		}
	}
	require.NoError(t, runs.Wait())
	// Of two processes that get one event at once, neither may be told that it counted
	// the alert. Both then ask when ten seconds have passed, rarely at the same moment.
	s.doubles = func(int) int { return 3 }
	t.Log(s.close(w))
	operations := 0
	for _, h := range s.histories {
		require.NoError(t, h.Check(patience))
		operations += h.Len()
	}
	t.Logf("%d histories of %d operations are linearizable", len(s.histories), operations)
	t.Logf("%d runs, %d events accepted, %d redelivered", s.runs.Load(), s.accepted.Load(), s.redelivered.Load())
	tally := way.Tally()
	logTally(t, tally)
	for _, verb := range verbs {
		for _, kind := range kinds {
			for _, moment := range []string{"before", "after"} {
				require.NotZero(t, tally[fmt.Sprint(verb, " ", kind, " ", moment)], "%s %s %s", verb, kind, moment)
			}
		}
	}
}

var verbs = []string{"list", "get", "create", "patch", "delete"}

// maxNth is how many calls of a verb fail in turn; a hang takes ten seconds.
const maxNth = 4

// each lets the first call of a plan's verb fail, then the second, until there
// are no more.
func (s *sabotage) each(ctx context.Context, past string, p plan) error {
	last := maxNth
	if p.fault.Kind == kubefault.Hang {
		last = 1
	}
	for p.nth = 1; p.nth <= last; p.nth++ {
		this := p
		if err := s.run(ctx, past, &this); err != nil {
			return fmt.Errorf("past %s, plan %+v: %w", past, p, err)
		}
		if this.calls < this.nth {
			return nil
		}
	}
	return nil
}

// logTally says what befell the calls of each verb.
func logTally(t testing.TB, tally map[string]int) {
	t.Helper()
	for _, verb := range verbs {
		var text []string
		for what, n := range tally {
			if v, what, _ := strings.Cut(what, " "); v == verb {
				text = append(text, fmt.Sprintf("%s %d", what, n))
			}
		}
		slices.Sort(text)
		t.Logf("%s: %s", verb, strings.Join(text, ", "))
	}
}

// sabotage is one test of many runs, each with a fingerprint of its own.
type sabotage struct {
	*world
	*ledger
	*broker
	runs atomic.Int64

	mu        sync.Mutex
	plans     map[string]*plan
	histories []*history.Recorder
}

// plan is what is to befall a fingerprint's calls.
type plan struct {
	verb  string
	nth   int
	fault kubefault.Fault
	calls int
}

func (s *sabotage) choose(c kubefault.Call) kubefault.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fault kubefault.Fault
	for _, subject := range c.Subjects {
		p := s.plans[subject]
		if p == nil || p.verb != c.Verb {
			continue
		}
		if p.calls++; p.calls == p.nth {
			fault = p.fault
		}
	}
	return fault
}

// scene is one fingerprint.
type scene struct {
	*sabotage
	pod     string
	history *history.Recorder
	mu      sync.Mutex
	answers map[string]function.AlertSummary
}

// pasts are what was before the events of a run.
var pasts = map[string]func(ctx context.Context, s *scene) error{
	"nothing":       func(context.Context, *scene) error { return nil },
	"an active one": func(ctx context.Context, s *scene) error { return s.fire(ctx, "before") },
	"a remembered one": func(ctx context.Context, s *scene) error {
		for _, event := range []string{"before", "x", "y", "z"} { // To both processes.
			if err := s.fire(ctx, event); err != nil {
				return err
			}
		}
		return nil
	},
	"a terminal one": func(ctx context.Context, s *scene) error {
		if err := s.fire(ctx, "before"); err != nil {
			return err
		}
		return s.complete(ctx, s.answers["before"])
	},
	"a hash collision": func(ctx context.Context, s *scene) error { return s.collide(ctx) },
	"twins": func(ctx context.Context, s *scene) error {
		if err := s.fire(ctx, "before"); err != nil {
			return err
		}
		return s.twin(ctx, s.answers["before"])
	},
}

// run lets a plan happen to a new fingerprint.
func (s *sabotage) run(ctx context.Context, past string, p *plan) error {
	sc := &scene{sabotage: s, pod: fmt.Sprintf("api-%d", s.runs.Add(1)), answers: map[string]function.AlertSummary{}, history: &history.Recorder{}}
	if err := pasts[past](ctx, sc); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	fingerprint := sc.fingerprint()
	subject := fingerprint[:12]
	s.mu.Lock()
	s.plans[subject] = p
	if past != "twins" { // A past that was not recorded has no history.
		s.histories = append(s.histories, sc.history)
	}
	s.mu.Unlock()

	if err := early(ctx); err != nil {
		return err
	}
	deliveries, here := errgroup.WithContext(ctx)
	for _, event := range []string{"1", "2", "1"} {
		deliveries.Go(func() error { return sc.fire(here, event) })
	}
	deliveries.Go(func() error {
		_, err := s.deliverOne(here, sc.id("resolved"), sc.body("resolved"))
		return err
	})
	if err := deliveries.Wait(); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.plans, subject)
	s.mu.Unlock()
	again := []string{"2", "1"}
	if past == "twins" {
		again = append(again, "twin") // The crashed handler's event comes again.
	}
	for _, event := range again {
		if err := sc.fire(ctx, event); err != nil {
			return fmt.Errorf("again: %w", err)
		}
	}
	return sc.read(ctx)
}

// early waits for the first half of a span of names. At its end two handlers can make an
// object each, and both are told, because what was made just now seems old here: else
// nobody is told of it for two seconds.
func early(ctx context.Context) error {
	const span = 10 * time.Second // dedup.nameSpan; an hour ahead has the same ends.
	now := time.Now()
	begun := now.Sub(now.Truncate(span))
	if begun < span/2 {
		return nil
	}
	select {
	case <-time.After(span - begun):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *scene) fingerprint() string {
	_, fingerprints := s.enter(s.t, s.id("1"), s.body("firing"))
	return fingerprints[0]
}

func (s *scene) id(event string) string { return s.pod + "/" + event }

func (s *scene) body(status string) string {
	return webhook(alert(status, "alertname=Fault", "namespace=payments", "pod="+s.pod))
}

// fire delivers an event until it is accepted. It is answered the same as ever.
func (s *scene) fire(ctx context.Context, event string) error {
	keys, _ := s.enter(s.t, s.id(event), s.body("firing"))
	accepted := s.history.Deliver(keys[0])
	answer, err := s.deliverOne(ctx, s.id(event), s.body("firing"))
	if err != nil {
		return err
	}
	accepted(history.Answer{Object: answer.Object, Count: answer.Count})
	s.answer(keys)
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.answers[event]; ok && before != answer {
		return fmt.Errorf("event %s was answered %+v, and then %+v", event, before, answer)
	}
	s.answers[event] = answer
	return nil
}

func nameOf(a function.AlertSummary) string {
	_, name, _ := strings.Cut(a.Object, "/")
	return name
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

// collide makes another fingerprint's object under the name that ours would get
// first.
func (s *scene) collide(ctx context.Context) error {
	fingerprint := s.fingerprint()
	other := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{
			"signalFingerprint": strings.Repeat("0", 64), "signalName": "Other", "severity": "low", "signalType": "alert",
			"targetType": "kubernetes", "targetResource": map[string]any{"kind": "Pod", "name": "other"},
			"firingTime": "2026-01-17T11:00:00Z", "receivedTime": "2026-01-17T11:00:00Z",
		},
	}}
	other.SetAPIVersion(dedup.Resource.GroupVersion().String())
	other.SetKind("RemediationRequest")
	other.SetName(fmt.Sprintf("rr-%s-%.4x", fingerprint[:12], sha256.Sum256([]byte(fingerprint+":"))))
	_, err := s.objects.Create(ctx, other, metav1.CreateOptions{})
	return err
}

// read reads the one active object.
func (s *scene) read(ctx context.Context) error {
	seen := s.history.Read()
	active, err := s.activeOf(ctx, s.fingerprint())
	if err != nil {
		return err
	}
	if len(active) != 1 {
		return errors.New("not exactly one object is active")
	}
	seen(history.Answer{Object: active[0].GetNamespace() + "/" + active[0].GetName(), Count: int32(count(&active[0]))})
	return nil
}
