package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
	"onefire/test/datastorage"
	"onefire/test/history"
)

var soak = flag.Duration("soak", 15*time.Second, "how long TestCrashes goes on")

const (
	// eventRate is how many events a second are sent.
	eventRate = 200
	// replicas is how many function processes there are.
	replicas = 3
	// killPause is the least time from one kill to the next; twice that is the mean. A
	// process that did not decide asks DataStorage only after some seconds, and an event
	// whose processes all die before is never accepted. A short storm has shorter pauses.
	killPause = 4 * time.Second
	// controllers is how many others change objects at once.
	controllers = 4
	// maxUnderWay bounds the events that are sent and not yet accepted.
	maxUnderWay = 600
	// oneDouble is of how many stored audit events one may be there twice. Several processes
	// have the same event, and DataStorage hangs, or stores later what it accepted: meanwhile
	// no process can see what another one has sent.
	oneDouble = 50
	// oneTold is of how many alerts one may have been told that it made an object, before
	// another object took over its record. Retention can cause that: docs/reference.md says
	// how, in "What breaks them".
	oneTold = 20_000
	// calmPods have a history that is checked: no alert of theirs comes in a batch,
	// and no object of theirs is deleted. On wildPods anything happens. DataStorage
	// refuses the audit events of poisonPods.
	calmPods, wildPods, poisonPods = 100, 300, 4
	// apiFaults and apiHangs are how many of a thousand API calls fail or hang.
	apiFaults, apiHangs = 8, 1
	// sinkFaults is how many of a thousand posts to DataStorage meet a fault.
	sinkFaults = 333
)

// TestCrashes kills function processes while events pour in, objects run through
// their phases and are deleted, and the API server and DataStorage fail; then it
// holds what was sent against what is there.
func TestCrashes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := newStorm(t, rand.New(rand.NewPCG(seed, 0)))
	s.poison()
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
	others.Go(func() error { return s.prunes(raging) })
	var following errgroup.Group
	watched, unwatch := context.WithCancel(t.Context())
	defer unwatch()
	following.Go(func() error { return s.follow(watched) })
	sending := make(chan struct{})
	begun := time.Now()
	go func() {
		defer close(sending)
		s.send(raging, &senders)
	}()
	kills := s.kill(raging)
	<-sending
	took := time.Since(begun)
	met, of := s.data.Befallen()

	s.healed.Store(true)
	s.data.Heal()
	require.NoError(t, others.Wait())
	failed := senders.Wait()
	t.Log(&s.slowest)
	require.NoError(t, failed)
	var logs []string
	for _, f := range s.all {
		s.stop(f)
		logs = append(logs, f.log.String())
	}
	t.Logf("%s: %d events sent, %.0f a second, %d deliveries accepted, %d redelivered; %d processes killed, %d stopped",
		took.Round(time.Second), s.sent, float64(s.sent)/took.Seconds(), s.accepted.Load(), s.redelivered.Load(), kills, len(s.all)-kills)
	require.Eventually(t, func() bool { return s.burials.size() == len(s.list()) }, time.Minute, time.Second, "the watch misses something")
	unwatch()
	require.NoError(t, following.Wait())
	buried := s.bury()
	t.Logf("%d ended objects were deleted by the functions and by onefire prune; objects after every 40th of its runs: %v", buried, s.burials.everyFortieth())
	s.doubles = func(stored int) int { return stored / oneDouble }
	b := s.close(s.world, logs...)
	t.Log(b)
	t.Logf("%d twins were merged", len(s.twins))
	require.LessOrEqual(t, b.told, b.alerts/oneTold, "alerts that were told of a twin")
	happened := map[string]int{"kills": kills, "redeliveries": int(s.redelivered.Load()), "deletions": b.removed, "set aside": b.setAside}
	if *soak >= time.Minute { // In less, a busy machine does not come to it.
		happened["pruned"] = buried
	}
	for what, n := range happened {
		require.Positive(t, n, what)
	}
	t.Logf("others: %v; DataStorage troubles: %v", s.deeds, s.troubles)
	t.Logf("%d of %d posts to DataStorage met a fault", met, of)
	logTally(t, s.way.Tally())
	operations := 0
	for pod, h := range s.histories {
		require.NoError(t, s.read(pod, h))
		require.NoError(t, h.Check(time.Minute), pod)
		operations += h.Len()
	}
	t.Logf("%d histories of %d operations are linearizable", len(s.histories), operations)
	require.LessOrEqual(t, s.slowest.took, acceptedWithin, "the slowest delivery")
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
	// pruning is when onefire prune was started last, in ns since 1970.
	pruning atomic.Int64
	burials burials
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
		world: newWorld(t, mapping.Schema202608), ledger: newLedger(), binary: stripped(t), dice: dice,
		histories: map[string]*history.Recorder{}, fingerprints: map[string]string{},
		burials: burials{gone: map[types.UID]removal{}},
		deeds:   map[string]int{}, troubles: map[string]int{},
	}
	// An event that takes too long fails the test only after all else was checked.
	s.broker = &broker{route: s.route, pause: 100 * time.Millisecond, longest: 5 * time.Second, within: *soak + acceptedWithin}
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
	pod := fmt.Sprintf("%s10.0.%d.%d", podPath, len(s.all)/250, len(s.all)%250+1)
	sink := strings.Replace(s.dataURL, datastorage.AuditPath, pod+datastorage.AuditPath, 1)
	f := s.serve(s.prepare(s.binary, "REPLY=summary", "LOG_LEVEL=error", "KUBECONFIG="+s.way.kubeconfig, "AUDIT_SINK="+sink))
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
	pause := min(killPause, *soak/15)
	for {
		select {
		case <-ctx.Done():
			return kills
		case <-time.After(pause + time.Duration(s.roll(int(2*pause)))):
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
