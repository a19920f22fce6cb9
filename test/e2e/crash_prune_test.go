package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	watchtools "k8s.io/client-go/tools/watch"
)

// pruneEvery is how often the past is pruned.
const pruneEvery = 5 * time.Second

// prunes runs onefire prune until the storm is over. Its API calls fail as those of
// the functions do: then the next run goes on.
func (s *storm) prunes(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pruneEvery):
		}
		command := exec.CommandContext(ctx, s.binary, "prune")
		command.Env = append(os.Environ(), "KUBECONFIG="+s.way.kubeconfig, "REMEDIATION_NAMESPACE="+s.namespace, "DEAD_LETTER_TTL=0", "TTL=1h")
		s.pruning.Store(time.Now().UnixNano())
		deed := "onefire prunes"
		if out, err := command.CombinedOutput(); err != nil {
			var failed *exec.ExitError
			if !errors.As(err, &failed) {
				return fmt.Errorf("pruning: %w: %s", err, out)
			}
			deed = "onefire prunes, and fails"
		}
		s.did(deed)
		s.burials.mu.Lock()
		s.burials.counts = append(s.burials.counts, s.burials.there)
		s.burials.mu.Unlock()
	}
}

// longAgo is when objects ended that are old enough to be pruned.
func longAgo() string { return time.Now().Add(-2 * time.Hour).UTC().Format(time.RFC3339) }

// burials keeps the ended objects that went without a test having deleted them: the
// history limit and onefire prune do that.
type burials struct {
	mu   sync.Mutex
	gone map[types.UID]removal
	// twins were active. Those that users delete are among them.
	twins []unstructured.Unstructured
	// there is how many objects there are.
	there int
	// counts is what there was, each time after onefire prune.
	counts []int
}

const (
	// historyLeaves is how old an object must be for the history limit to delete it.
	historyLeaves = 20 * time.Minute
	// historyTakes is more than the time from then until its deletion is seen.
	historyTakes = 30 * time.Second
)

// follow watches until the context ends.
func (s *storm) follow(ctx context.Context) error {
	l, err := s.objects.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing before the watch: %w", err)
	}
	w, err := watchtools.NewRetryWatcherWithContext(ctx, l.GetResourceVersion(), watches{s.objects})
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.ResultChan():
			if !ok || e.Type == watch.Error {
				return fmt.Errorf("the watch ended: %v", e.Object)
			}
			s.saw(e)
		}
	}
}

func (s *storm) saw(e watch.Event) {
	s.burials.mu.Lock()
	defer s.burials.mu.Unlock()
	switch e.Type {
	case watch.Added:
		s.burials.there++
	case watch.Deleted:
		s.burials.there--
		o := e.Object.(*unstructured.Unstructured)
		if !terminal(o) {
			s.burials.twins = append(s.burials.twins, *o)
			return
		}
		// The history limit leaves what is younger.
		at := time.Unix(0, s.pruning.Load())
		if time.Since(o.GetCreationTimestamp().Time) > historyLeaves {
			at = time.Now().Add(-historyTakes)
		}
		s.burials.gone[o.GetUID()] = removal{*o, at}
	}
}

func (b *burials) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.there
}

// everyFortieth is how many objects there were every few minutes.
func (b *burials) everyFortieth() (all []int) {
	for i := 0; i < len(b.counts); i += 40 {
		all = append(all, b.counts[i])
	}
	return append(all, b.there)
}

// bury adds to the ledger what nobody has noted yet, and returns how many those are.
func (s *storm) bury() (n int) {
	s.burials.mu.Lock()
	defer s.burials.mu.Unlock()
	noted := map[types.UID]bool{}
	for _, r := range s.removed {
		noted[r.object.GetUID()] = true
		delete(s.burials.gone, r.object.GetUID())
	}
	s.twins = slices.DeleteFunc(s.burials.twins, func(o unstructured.Unstructured) bool { return noted[o.GetUID()] })
	for _, r := range s.burials.gone {
		s.remove(&r.object, r.at)
	}
	return len(s.burials.gone)
}

// watches is what a RetryWatcher watches with.
type watches struct{ objects dynamic.ResourceInterface }

func (w watches) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return w.objects.Watch(ctx, options) //nolint:wrapcheck // The RetryWatcher reads it.
}
