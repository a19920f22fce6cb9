package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// failures counts exports and collections that failed, and logs each kind at most once in
// [logInterval].
type failures struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	kinds map[string]*failure
}

type failure struct {
	count  int64
	logged time.Time
	// silent is how many were not logged, and last is the latest of them.
	silent int64
	last   error
}

// of returns the function to call with each failure of a kind.
func (f *failures) of(kind string) func(error) {
	return func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		one := f.kinds[kind]
		if one == nil {
			one = &failure{}
			f.kinds[kind] = one
		}
		one.count++
		one.silent++
		one.last = err
		if now := f.now(); now.Sub(one.logged) >= logInterval {
			one.logged = now
			f.write(kind, one)
		}
	}
}

func (f *failures) write(kind string, one *failure) {
	f.log.Warn("telemetry lost", "kind", kind, "times", one.silent, "error", one.last)
	one.silent = 0
}

// end logs the failures that were not logged.
func (f *failures) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for kind, one := range f.kinds {
		if one.silent > 0 {
			f.write(kind, one)
		}
	}
}

// observe reports the counts to an instrument.
func (f *failures) observe(_ context.Context, o metric.Int64Observer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for kind, one := range f.kinds {
		o.Observe(one.count, metric.WithAttributes(attribute.String("kind", kind)))
	}
	return nil
}
