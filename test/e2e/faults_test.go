package e2e

import (
	"context"
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
	s := &sabotage{world: w, ledger: newLedger(), plans: map[string]*plan{}, colliding: map[string]*collision{}}
	binary := stripped(t)
	s.now, s.hourLater = s.passage(binary, 0), s.passage(binary, time.Hour)

	// The slowest kind begins first.
	kinds := append([]kubefault.Kind{kubefault.Hang}, kubefault.Kinds()...)
	runs, ctx := errgroup.WithContext(t.Context())
	runs.SetLimit(24)
	for _, kind := range kinds {
		for past := range pasts {
			for _, verb := range verbs {
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
	t.Logf("%d runs, %d events accepted, %d redelivered", s.runs.Load(),
		s.now.accepted.Load()+s.hourLater.accepted.Load(), s.now.redelivered.Load()+s.hourLater.redelivered.Load())
	tally := s.now.Tally()
	for what, n := range s.hourLater.Tally() {
		tally[what] += n
	}
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
	// now and hourLater are the ways of the runs that make new objects, and of those that
	// find what was made an hour ago.
	now, hourLater *passage
	runs           atomic.Int64

	mu        sync.Mutex
	plans     map[string]*plan
	histories []*history.Recorder
	// colliding are the runs in which names collide, by subject.
	colliding map[string]*collision
}

// passage is two processes behind one broker, and their way to the API server.
type passage struct {
	*broker
	faulty
}

// passage starts two processes for which all objects are older than they are.
func (s *sabotage) passage(binary string, older time.Duration) *passage {
	s.t.Helper()
	way := newFaulty(s.t, s.choose)
	way.Ahead(older)
	var functions []*fn
	for range 2 {
		functions = append(functions, s.serve(s.prepare(binary, "REPLY=summary", "KUBECONFIG="+way.kubeconfig)))
	}
	var turn atomic.Int64
	return &passage{faulty: way, broker: &broker{
		route: func() string { return functions[int(turn.Add(1))%len(functions)].url },
		pause: 20 * time.Millisecond, longest: time.Second, within: acceptedWithin,
	}}
}

// plan is what is to befall a fingerprint's calls.
type plan struct {
	verb  string
	nth   int
	fault kubefault.Fault
	calls int
}

func (s *sabotage) choose(c kubefault.Call) kubefault.Fault {
	if c.Verb == "create" {
		s.collide(c)
	}
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

// run lets a plan happen to a new fingerprint.
func (s *sabotage) run(ctx context.Context, past string, p *plan) error {
	sc := s.scene(past)
	if err := pasts[past].make(ctx, sc); err != nil {
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

	deliveries, here := errgroup.WithContext(ctx)
	for _, event := range []string{"1", "2", "1"} {
		deliveries.Go(func() error { return sc.fire(here, event) })
	}
	deliveries.Go(func() error {
		_, err := sc.deliverOne(here, sc.id("resolved"), sc.body("resolved"))
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
	if err := s.collided(active[0].GetName()); err != nil {
		return err
	}
	seen(history.Answer{Object: active[0].GetNamespace() + "/" + active[0].GetName(), Count: int32(count(&active[0]))})
	return nil
}
