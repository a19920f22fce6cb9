package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/function"
	"onefire/mapping"
	"onefire/test/client"
	"onefire/test/datastorage"
	"onefire/test/history"
	"onefire/test/kubefault"
)

var soak = flag.Duration("soak", 15*time.Second, "how long TestCrashes goes on")

const (
	// eventRate is how many events a second are sent.
	eventRate = 200
	// replicas is how many function processes there are.
	replicas = 3
	// controllers is how many others change objects at once.
	controllers = 4
	// maxUnderWay bounds the events that are sent and not yet accepted.
	maxUnderWay = 600
	// calmPods have a history that is checked: no alert of theirs comes in a
	// batch, and no object of theirs is deleted. On wildPods anything happens.
	// What DataStorage hears of poisonPods it refuses.
	calmPods, wildPods, poisonPods = 100, 300, 4
	// apiFaults and apiHangs are how many of a thousand API calls fail or hang.
	apiFaults, apiHangs = 8, 1
)

// TestCrashes kills function processes while events pour in, objects run through
// their phases and are deleted, and the API server and DataStorage fail; then it
// holds what was sent against what is there.
func TestCrashes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := newStorm(t, rand.New(rand.NewPCG(seed, 0)))
	for range replicas {
		s.functions = append(s.functions, s.replica())
	}

	raging, calm := context.WithTimeout(t.Context(), *soak)
	defer calm()
	var senders, others errgroup.Group
	senders.SetLimit(maxUnderWay)
	for range controllers {
		others.Go(func() error { return s.control(raging) })
	}
	others.Go(func() error { s.troubleDataStorage(raging); return nil })
	sending := make(chan struct{})
	begun := time.Now()
	go func() {
		defer close(sending)
		s.send(raging, &senders)
	}()
	kills := s.kill(raging)
	<-sending
	took := time.Since(begun)

	s.healed.Store(true)
	s.data.Heal()
	require.NoError(t, others.Wait())
	require.NoError(t, senders.Wait())
	var logs []string
	for _, f := range s.all {
		s.stop(f)
		logs = append(logs, f.log.String())
	}
	t.Logf("%s: %d events sent, %.0f a second, %d deliveries accepted, %d redelivered; %d processes killed, %d stopped",
		took.Round(time.Second), s.sent, float64(s.sent)/took.Seconds(), s.accepted.Load(), s.redelivered.Load(), kills, len(s.all)-kills)
	b := s.close(s.world, logs...)
	t.Log(b)
	for what, n := range map[string]int{"kills": kills, "redeliveries": int(s.redelivered.Load()), "deletions": b.removed, "set aside": b.setAside} {
		require.Positive(t, n, what)
	}
	t.Logf("others: %v; DataStorage troubles: %v", s.deeds, s.troubles)
	logTally(t, s.way.Tally())
	operations := 0
	for pod, h := range s.histories {
		require.NoError(t, s.read(pod, h))
		require.NoError(t, h.Check(time.Minute), pod)
		operations += h.Len()
	}
	t.Logf("%d histories of %d operations are linearizable", len(s.histories), operations)
}

// storm is one such test.
type storm struct {
	*world
	*ledger
	*broker
	binary string
	way    faulty
	// histories are the calm pods'; fingerprints are of all pods.
	histories    map[string]*history.Recorder
	fingerprints map[string]string
	// healed says that no more calls are to fail.
	healed atomic.Bool
	sent   int
	// deeds are what others did to objects, troubles what befell DataStorage.
	deeds, troubles map[string]int

	mu        sync.Mutex
	dice      *rand.Rand
	functions []*fn // that serve, or were killed just now
	all       []*fn // that ever were
}

func newStorm(t *testing.T, dice *rand.Rand) *storm {
	t.Helper()
	s := &storm{
		world: newWorld(t, mapping.Schema202601), ledger: newLedger(), binary: stripped(t), dice: dice,
		histories: map[string]*history.Recorder{}, fingerprints: map[string]string{},
		deeds: map[string]int{}, troubles: map[string]int{},
	}
	s.broker = &broker{route: s.route, pause: 100 * time.Millisecond, longest: 5 * time.Second}
	s.way = newFaulty(t, s.choose)
	for i := range calmPods {
		s.histories[fmt.Sprintf("calm-%d", i)] = &history.Recorder{}
	}
	aside := newLedger() // These are not sent.
	for _, pod := range s.pods() {
		_, fingerprints := aside.enter(t, "", webhook(firing("Storm", pod)))
		s.fingerprints[pod] = fingerprints[0]
	}
	return s
}

func (s *storm) pods() []string {
	var wild []string
	for i := range wildPods {
		wild = append(wild, fmt.Sprintf("wild-%d", i))
	}
	return append(wild, slices.Sorted(maps.Keys(s.histories))...)
}

// roll is a number below n.
func (s *storm) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dice.IntN(n)
}

func (s *storm) replica() *fn {
	f := s.serve(s.prepare(s.binary, "REPLY=summary", "LOG_LEVEL=error", "KUBECONFIG="+s.way.kubeconfig))
	s.all = append(s.all, f)
	return f
}

func (s *storm) route() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.functions[s.dice.IntN(len(s.functions))].url
}

// kill replaces processes until the storm is over. One in four is stopped as
// Kubernetes does it, the others die at once.
func (s *storm) kill(ctx context.Context) (kills int) {
	for {
		select {
		case <-ctx.Done():
			return kills
		case <-time.After(time.Duration(1000+s.roll(2000)) * time.Millisecond):
		}
		i := s.roll(replicas)
		old := s.functions[i]
		end := syscall.SIGKILL
		if s.roll(4) == 0 {
			end = syscall.SIGTERM // It answers what is under way; at the end we wait for it.
		}
		require.NoError(s.t, old.process.Process.Signal(end))
		if end == syscall.SIGKILL {
			require.Error(s.t, old.process.Wait())
			kills++
		}
		fresh := s.replica()
		s.mu.Lock()
		s.functions[i] = fresh
		s.mu.Unlock()
	}
}

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

// troubleDataStorage makes DataStorage fail for some requests, now and then, and
// refuse what is poisoned for good.
func (s *storm) troubleDataStorage(ctx context.Context) {
	s.data.Inject(datastorage.Fault{Status: http.StatusBadRequest, Match: func(b []byte) bool { return strings.Contains(string(b), "poison") }})
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
			name := names[s.roll(len(names))]
			s.troubles[name]++
			s.data.Inject(faults[name])
		}
	}
}

// send sends events of all kinds at their rate.
func (s *storm) send(ctx context.Context, senders *errgroup.Group) {
	tick := time.NewTicker(time.Second / eventRate)
	defer tick.Stop()
	wild, calm := s.pods()[:wildPods], s.pods()[wildPods:]
	// The storm is over when its context is, but not what is under way.
	ctx, stormy := context.WithoutCancel(ctx), ctx.Done()
	for {
		select {
		case <-stormy:
			return
		case <-tick.C:
		}
		s.sent++
		id := fmt.Sprint(s.sent)
		pod := wild[s.roll(len(wild))]
		switch roll := s.roll(100); {
		case roll < 30:
			senders.Go(func() error { return s.one(ctx, id, calm[s.roll(len(calm))]) })
		case roll < 32: // Delivered twice at once.
			pod := calm[s.roll(len(calm))]
			senders.Go(func() error { return s.one(ctx, id, pod) })
			senders.Go(func() error { return s.one(ctx, id, pod) })
		case roll < 34:
			senders.Go(func() error { return s.one(ctx, id, pod) })
			senders.Go(func() error { return s.one(ctx, id, pod) })
		case roll < 35:
			pod := fmt.Sprintf("poison-%d-%d", s.sent/1000, s.roll(poisonPods)) // Others leave them alone, and records are bounded.
			senders.Go(func() error { return s.one(ctx, id, pod) })
		case roll < 41:
			senders.Go(func() error { return s.many(ctx, id, pod, wild[s.roll(len(wild))]) })
		case roll < 46:
			senders.Go(func() error { return s.batch(ctx, id, wild[s.roll(len(wild))], pod, pod) })
		default:
			senders.Go(func() error { return s.one(ctx, id, pod) })
		}
	}
}

// one delivers an event with one alert.
func (s *storm) one(ctx context.Context, id, pod string) error {
	body := webhook(firing("Storm", pod))
	keys, _ := s.enter(s.t, id, body)
	accepted := func(history.Answer) {}
	if h := s.histories[pod]; h != nil {
		accepted = h.Deliver(keys[0])
	}
	answer, err := s.deliverOne(ctx, id, body)
	if err != nil {
		return fmt.Errorf("event %s: %w", id, err)
	}
	accepted(history.Answer{Object: answer.Object, Count: answer.Count})
	s.answer(keys)
	return nil
}

// many delivers an event with several alerts: of two pods, two of the one with
// any severity, one that is over, one that is none.
func (s *storm) many(ctx context.Context, id, pod, another string) error {
	severity := []string{"page", "warning", "info", "odd"}[s.roll(4)]
	alerts := []string{
		firing("Storm", pod), alert("firing", "alertname=Storm", "namespace=payments", "pod="+pod, "container=second", "severity="+severity),
		firing("Storm", another), alert("resolved", "alertname=Storm", "namespace=payments", "pod="+another),
		alert("firing", "pod=nameless"),
	}
	body := webhook(alerts...)
	keys, _ := s.enter(s.t, id, body)
	summary, err := s.deliver(ctx, client.Binary(id, []byte(body)))
	if err != nil {
		return fmt.Errorf("event %s: %w", id, err)
	}
	if decisions := decisionsOf(summary); len(decisions) != len(alerts) || decisions[4] != mapping.Invalid {
		return fmt.Errorf("event %s was answered %v", id, decisions)
	}
	s.answer(keys)
	return nil
}

func decisionsOf(summary []function.AlertSummary) (all []mapping.Decision) {
	for _, a := range summary {
		all = append(all, a.Decision)
	}
	return all
}

// batch delivers events in one request.
func (s *storm) batch(ctx context.Context, id string, pods ...string) error {
	var (
		ids    []string
		bodies [][]byte
		all    []string
	)
	for i, pod := range pods {
		ids = append(ids, fmt.Sprint(id, ".", i))
		bodies = append(bodies, []byte(webhook(firing("Storm", pod))))
		keys, _ := s.enter(s.t, ids[i], string(bodies[i]))
		all = append(all, keys...)
	}
	m, err := client.Batch(ids, bodies)
	if err != nil {
		return err
	}
	if _, err := s.deliver(ctx, m); err != nil {
		return fmt.Errorf("batch %s: %w", id, err)
	}
	s.answer(all)
	return nil
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
	case roll < 30:
		_, err := s.phase("a controller starts", o, "Processing")
		return err
	case roll < 60 && h != nil:
		done := h.End(o.GetNamespace() + "/" + o.GetName())
		ended, err := s.phase("a controller completes", o, "Completed")
		if ended {
			done()
		}
		return err
	case roll < 60:
		_, err := s.phase("a controller fails", o, "Failed")
		return err
	case roll < 70 && h == nil:
		return s.delete("a user deletes", o)
	}
	return nil
}

// phase changes an object's phase if nobody changed the object meanwhile, and
// tells whether.
func (s *storm) phase(deed string, o *unstructured.Unstructured, phase string) (bool, error) {
	patch := fmt.Sprintf(`{"metadata":{"resourceVersion":%q},"status":{"overallPhase":%q}}`, o.GetResourceVersion(), phase)
	_, err := s.objects.Patch(s.t.Context(), o.GetName(), types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
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

// read reads a pod's active object into its history.
func (s *storm) read(pod string, h *history.Recorder) error {
	seen := h.Read()
	active, err := s.activeOf(s.t.Context(), s.fingerprints[pod])
	if err != nil {
		return err
	}
	switch len(active) {
	case 0:
		seen(history.Answer{})
	case 1:
		seen(history.Answer{Object: active[0].GetNamespace() + "/" + active[0].GetName(), Count: int32(count(&active[0]))})
	default:
		return errors.New("two objects are active")
	}
	return nil
}
