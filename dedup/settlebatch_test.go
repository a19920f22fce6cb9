package dedup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// settling is a settler that takes a second and records its keys.
type settling struct {
	fail func(keys []string) error

	mu    sync.Mutex
	asked [][]string
	count int32
}

func (s *settling) settle(ctx context.Context, _ mapping.Signal, keys []string, _ map[string]mapping.Signal) ([]Outcome, error) {
	s.mu.Lock()
	s.asked = append(s.asked, keys)
	s.mu.Unlock()
	select {
	case <-time.After(time.Second): // By the test's own clock.
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.fail != nil {
		if err := s.fail(keys); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Outcome, len(keys))
	for i, key := range keys {
		s.count++
		out[i] = Outcome{Name: key, Count: s.count}
	}
	return out, nil
}

// deliver settles deliveries at once, the first one a moment before the others, and
// returns their outcomes.
func deliver(t *testing.T, s *settleBatcher, deliveries ...[]string) ([][]Outcome, []error) {
	t.Helper()
	outcomes, errs := make([][]Outcome, len(deliveries)), make([]error, len(deliveries))
	var all sync.WaitGroup
	for i, keys := range deliveries {
		all.Go(func() {
			defer func() {
				if cause := recover(); cause != nil {
					errs[i] = fmt.Errorf("panic: %v", cause)
				}
			}()
			outcomes[i], errs[i] = s.Settle(t.Context(), signal, keys, nil)
		})
		synctest.Wait() // So they come in order.
	}
	all.Wait()
	synctest.Wait()
	require.Empty(t, s.queues)
	return outcomes, errs
}

func TestDeliveriesThatWaitShareOneSettlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := &settling{}
		outcomes, errs := deliver(t, newSettleBatcher(by.settle), []string{"a"}, []string{"b", "c"}, []string{"d"}, []string{"c"})
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, [][]string{{"a"}, {"b", "c", "d"}}, by.asked)
		require.Equal(t, [][]Outcome{
			{{Name: "a", Count: 1}},
			{{Name: "b", Count: 2}, {Name: "c", Count: 3}},
			{{Name: "d", Count: 4}},
			{{Name: "c", Count: 3}},
		}, outcomes, "each is told of its own keys, and one that came twice says the same")
	})
}

func TestASharedSettlementIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many := func(prefix string) (keys []string) {
			for i := range maxBatchKeys/2 + 1 {
				keys = append(keys, fmt.Sprint(prefix, i))
			}
			return keys
		}
		by := &settling{}
		_, errs := deliver(t, newSettleBatcher(by.settle), []string{"a"}, many("b"), many("c"), []string{"d"})
		require.NoError(t, errors.Join(errs...))
		require.Len(t, by.asked, 3)
		require.Len(t, by.asked[1], maxBatchKeys/2+1)
		require.Len(t, by.asked[2], maxBatchKeys/2+2)
	})
}

func TestOneAlertsPanicIsNotItsNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := &settling{fail: func(keys []string) error {
			if keys[0] == "bad" {
				panic("a bug")
			}
			return nil
		}}
		outcomes, errs := deliver(t, newSettleBatcher(by.settle), []string{"a"}, []string{"bad"}, []string{"good"})
		require.NoError(t, errs[0])
		require.EqualError(t, errs[1], "panic: a bug")
		require.NoError(t, errs[2])
		require.Equal(t, "good", outcomes[2][0].Name)
	})
}

func TestAFailedSettlementFailsAllWhoShareIt(t *testing.T) {
	for reason, row := range map[string]struct {
		fail func([]string) error
		want string
	}{
		"an error": {func([]string) error { return errors.New("trouble") }, "trouble"},
		"a panic":  {func([]string) error { panic("a bug") }, "panic: a bug"},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, errs := deliver(t, newSettleBatcher((&settling{fail: row.fail}).settle), []string{"a"}, []string{"b"}, []string{"c"})
				for _, err := range errs {
					require.EqualError(t, err, row.want)
				}
			})
		})
	}
}

func TestADeliveryThatGivesUpIsStillSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := &settling{}
		s := newSettleBatcher(by.settle)
		hasty, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		patient, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var all sync.WaitGroup
		for i, ctx := range []context.Context{patient, hasty, patient} {
			all.Go(func() {
				_, err := s.Settle(ctx, signal, []string{fmt.Sprint(i)}, nil)
				if ctx == hasty {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				} else {
					require.NoError(t, err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		require.Equal(t, [][]string{{"0"}, {"1", "2"}}, by.asked)
	})
}

// A batch makes an object from the alert whose key the object is created for, whichever
// other deliveries are in the batch.
func TestAnObjectIsMadeOfItsOwnAlert(t *testing.T) {
	s := newStore()
	s.complete(made(s, "old"))
	d, err := newDeduplicator(s, Options{SignalType: "alert"})
	require.NoError(t, err)
	of := func(pod string) mapping.Signal {
		own := signal
		own.Target.Name = pod
		return own
	}
	_, err = d.core.settle(t.Context(), of("old-pod"), []string{"old", "new"}, map[string]mapping.Signal{"old": of("old-pod"), "new": of("new-pod")})
	require.NoError(t, err)
	require.Len(t, s.objects, 2)
	for name, o := range s.objects {
		if !s.seen[name].terminal() {
			pod, _, _ := unstructured.NestedString(o.Object, "spec", "targetResource", "name")
			require.Equal(t, "new-pod", pod)
		}
	}
	var told map[string]mapping.Signal
	reserved := newSettleBatcher(func(_ context.Context, _ mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]Outcome, error) {
		pass(time.Second)
		told = signals
		return make([]Outcome, len(keys)), nil
	})
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		for _, pod := range []string{"a", "b", "c"} {
			all.Go(func() { _, _ = reserved.Settle(t.Context(), of(pod), []string{pod}, nil) })
			synctest.Wait()
		}
		all.Wait()
		synctest.Wait()
		require.Equal(t, map[string]mapping.Signal{"b": of("b"), "c": of("c")}, told)
	})
}

// Concurrent deliveries of one new fingerprint, through the real protocol, make one
// object that counts each of them, with one patch for nearly all.
func TestAStormIsCountedExactlyInFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const deliveries = 500
		counted := &counting{api: newStore(), calls: map[string]int{}}
		d, err := newDeduplicator(counted, Options{SignalType: "alert"})
		require.NoError(t, err)
		told := make([]int32, deliveries)
		var all sync.WaitGroup
		for i := range deliveries {
			all.Go(func() {
				outcomes, err := d.Settle(t.Context(), signal, []string{fmt.Sprint("k", i)}, nil)
				require.NoError(t, err)
				told[i] = outcomes[0].Count
			})
		}
		all.Wait()
		seen := map[int32]bool{}
		for _, count := range told {
			require.False(t, seen[count], "two were told that they are number %d", count)
			seen[count] = true
		}
		require.True(t, seen[1] && seen[deliveries])
		require.Equal(t, map[string]int{"list": 3, "create": 1, "patch": 1}, counted.calls)
	})
}

// counting counts calls, one at a time, each a moment long.
type counting struct {
	api
	mu    sync.Mutex
	calls map[string]int
}

func (c *counting) call(name string) func() {
	pass(time.Millisecond)
	c.mu.Lock()
	c.calls[name]++
	return c.mu.Unlock
}

func (c *counting) list(ctx context.Context, ns string, by selector) ([]object, time.Time, error) {
	defer c.call("list")()
	return c.api.list(ctx, ns, by)
}

func (c *counting) create(ctx context.Context, ns string, body map[string]any) (types.UID, error) {
	defer c.call("create")()
	return c.api.create(ctx, ns, body)
}

func (c *counting) patchStatus(ctx context.Context, ns, name string, patch map[string]any) (string, error) {
	defer c.call("patch")()
	return c.api.patchStatus(ctx, ns, name, patch)
}

func (c *counting) get(ctx context.Context, ns, name string) (object, error) {
	defer c.call("get")()
	return c.api.get(ctx, ns, name)
}

func TestAKnownRepeatIsOneCall(t *testing.T) {
	s := newStore()
	counted := &counting{api: s, calls: map[string]int{}}
	d, err := newDeduplicator(counted, Options{SignalType: "alert"})
	require.NoError(t, err)
	settle := func(key string, want map[string]int) {
		t.Helper()
		clear(counted.calls)
		_, err := d.Settle(t.Context(), signal, []string{key}, nil)
		require.NoError(t, err)
		require.Equal(t, want, counted.calls)
	}
	settle("a", map[string]int{"list": 2, "create": 1})
	settle("b", map[string]int{"list": 1, "patch": 1})
	settle("c", map[string]int{"list": 1, "patch": 1}) // It is too young to be cached.
	s.now = s.now.Add(settledAge + time.Second)
	settle("d", map[string]int{"list": 1, "patch": 1})
	settle("e", map[string]int{"patch": 1})
	settle("e", map[string]int{"list": 1}) // A replay is not decided on a cached past.
	s.complete(s.all()[0].name)
	// The cache entry was outdated.
	settle("f", map[string]int{"patch": 1, "get": 1, "list": 2, "create": 1})
	// The cache entry is gone.
	settle("g", map[string]int{"list": 1, "patch": 1})
	require.Len(t, s.all(), 2)
}

// If other processes count on the same objects, cache entries are soon outdated. Objects
// are then read before they are patched, and no patch fails.
func TestWhatOthersChangeIsReadBeforeItIsPatched(t *testing.T) {
	s := newStore()
	made(s, "a")
	s.now = s.now.Add(settledAge + time.Second)
	counted := &counting{api: s, calls: map[string]int{}}
	var replicas []*Deduplicator
	for range 2 {
		d, err := newDeduplicator(counted, Options{SignalType: "alert"})
		require.NoError(t, err)
		replicas = append(replicas, d)
	}
	repeat := func(replica, i int) {
		t.Helper()
		clear(counted.calls)
		_, err := replicas[replica].Settle(t.Context(), signal, []string{fmt.Sprint(replica, i)}, nil)
		require.NoError(t, err)
	}
	for i := range 3 * staleSamples {
		repeat(i%2, i)
	}
	require.Equal(t, map[string]int{"get": 1, "patch": 1}, counted.calls)
	for i := range 3 * staleSamples {
		repeat(0, 1000+i)
	}
	require.Equal(t, map[string]int{"patch": 1}, counted.calls, "the others are gone, and memory is to be trusted again")
}

// A batch has at most maxBatchKeys keys, and is of one namespace. Its context ends with it.
func TestWhatABatchTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var used []context.Context
		var sizes []int
		s := newSettleBatcher(func(ctx context.Context, _ mapping.Signal, keys []string, _ map[string]mapping.Signal) ([]Outcome, error) {
			mu.Lock()
			used, sizes = append(used, ctx), append(sizes, len(keys))
			mu.Unlock()
			pass(time.Second)
			return make([]Outcome, len(keys)), nil
		})
		keys := func(from, n int) (all []string) {
			for i := range n {
				all = append(all, fmt.Sprint(from+i))
			}
			return all
		}
		for _, batch := range [][]string{keys(0, 1), keys(1, 1), keys(2, maxBatchKeys-1), keys(maxBatchKeys+2, 1)} {
			go func() {
				_, err := s.Settle(t.Context(), signal, batch, nil)
				require.NoError(t, err)
			}()
			synctest.Wait()
		}
		elsewhere := signal
		elsewhere.Namespace = "elsewhere"
		_, err := s.Settle(t.Context(), elsewhere, keys(0, 2), nil)
		require.NoError(t, err)
		pass(time.Minute)
		synctest.Wait()
		require.Equal(t, []int{1, 2, maxBatchKeys, 1}, sizes)
		require.ErrorIs(t, used[2].Err(), context.Canceled)
	})
}

func TestASharedSettlementIsLinked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var links links
		s := newSettleBatcher((&settling{}).settle)
		for id := range byte(3) {
			go func() {
				_, err := s.Settle(trace.ContextWithSpan(t.Context(), span(id+1, &links)), signal, []string{fmt.Sprint(id)}, nil)
				require.NoError(t, err)
			}()
			synctest.Wait()
		}
		pass(time.Minute)
		synctest.Wait()
		require.Len(t, links.all, 1, "the first one settled itself, and the second for both")
		require.Equal(t, trace.SpanID{2}, links.all[0].SpanContext.SpanID())
		require.Equal(t, "settlement", links.all[0].Attributes[0].Value.AsString())
	})
}
