package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// operation is one unit of load; i counts from 0 without gaps.
type operation func(ctx context.Context, i int) error

// sample is what a load came to.
type sample struct {
	elapsed   time.Duration
	latencies []time.Duration
}

// load drives an operation.
type load func(ctx context.Context, do operation) (sample, error)

// closed keeps a number of operations under way until the time is up or the
// limit is reached.
func closed(workers, limit int, atMost time.Duration) load {
	return func(ctx context.Context, do operation) (sample, error) {
		var next atomic.Int64
		each := make([][]time.Duration, workers)
		g, ctx := errgroup.WithContext(ctx)
		start := time.Now()
		for w := range workers {
			g.Go(func() error {
				for time.Since(start) < atMost {
					i := int(next.Add(1)) - 1
					if i >= min(limit, maxOperations) {
						return nil
					}
					began := time.Now()
					if err := do(ctx, i); err != nil {
						return err
					}
					each[w] = append(each[w], time.Since(began))
				}
				return nil
			})
		}
		err := g.Wait()
		s := sample{elapsed: time.Since(start)}
		for _, l := range each {
			s.latencies = append(s.latencies, l...)
		}
		return s, err
	}
}

// inTurn does n operations one at a time. Its time does not include the call of
// after that follows each operation.
func inTurn(n int, after func(context.Context) error) load {
	return func(ctx context.Context, do operation) (s sample, err error) {
		for i := range n {
			began := time.Now()
			if err := do(ctx, i); err != nil {
				return s, err
			}
			s.latencies = append(s.latencies, time.Since(began))
			s.elapsed += s.latencies[i]
			if err := after(ctx); err != nil {
				return s, err
			}
		}
		return s, nil
	}
}

// paced starts operations at a fixed rate, whether or not earlier ones are
// done. A latency counts from the moment that an operation was due.
func paced(perSecond float64, limit int, atMost time.Duration) load {
	return func(ctx context.Context, do operation) (sample, error) {
		n := min(limit, maxOperations, int(perSecond*atMost.Seconds()))
		if n < 1 {
			return sample{}, fmt.Errorf("%.2f a second are too few for %s", perSecond, atMost)
		}
		var all recorder
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(maxOpen)
		start := time.Now()
		var waiting error
		for i := range n {
			due := start.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
			if waiting = until(ctx, due); waiting != nil {
				break
			}
			g.Go(func() error {
				if err := do(ctx, i); err != nil {
					return err
				}
				all.add(time.Since(due))
				return nil
			})
		}
		err := cmp.Or(g.Wait(), waiting)
		return sample{time.Since(start), all.latencies}, err
	}
}

// bursts starts a number of operations at once, waits for them, and pauses.
func bursts(size int, pause time.Duration, limit int, atMost time.Duration) load {
	return func(ctx context.Context, do operation) (sample, error) {
		var all recorder
		start := time.Now()
		for first := 0; first < min(limit, maxOperations) && time.Since(start) < atMost; first += size {
			g, burst := errgroup.WithContext(ctx)
			for i := first; i < first+size; i++ {
				g.Go(func() error {
					began := time.Now()
					if err := do(burst, i); err != nil {
						return err
					}
					all.add(time.Since(began))
					return nil
				})
			}
			if err := errors.Join(g.Wait(), until(ctx, time.Now().Add(pause))); err != nil {
				return sample{}, err
			}
		}
		return sample{time.Since(start), all.latencies}, nil
	}
}

// each does every operation below n once, as fast as the workers can.
func each(ctx context.Context, workers, n int, do operation) error {
	s, err := closed(workers, n, preloadTimeout)(ctx, do)
	if err == nil && len(s.latencies) != n {
		err = fmt.Errorf("only %d of %d were done", len(s.latencies), n)
	}
	return err
}

// recorder collects latencies from many goroutines.
type recorder struct {
	mu        sync.Mutex
	latencies []time.Duration
}

func (r *recorder) add(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latencies = append(r.latencies, d)
}

// until waits for a moment.
func until(ctx context.Context, due time.Time) error {
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting: %w", ctx.Err())
	}
}
