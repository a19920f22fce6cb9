package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Runs that stay in their namespace.
const (
	knownRun   = "known"
	preloadRun = "preload"
)

// space is what one namespace size is measured in.
type space struct {
	size int
	// namespace holds size objects. known holds the known fingerprints, which
	// are part of size where it is large enough; below that it is another one.
	namespace, known string
	// since is when the last of the known fingerprints was made.
	since    time.Time
	template template
}

// prepare makes the namespaces of a size and fills them.
func (b *bench) prepare(ctx context.Context, size int) (space, error) {
	ctx, cancel := context.WithTimeout(ctx, preloadTimeout)
	defer cancel()
	s := space{size: size, namespace: fmt.Sprintf("bench-%d", size)}
	s.known = s.namespace
	if size < knownObjects {
		s.known += "-known"
	}
	for _, namespace := range []string{s.namespace, s.known} {
		if err := b.api.namespace(ctx, namespace); err != nil {
			return s, err
		}
	}
	functions, err := b.startFunctions(ctx, s.known, 1)
	if err != nil {
		return s, err
	}
	s.template, err = b.takeTemplate(ctx, functions, s.known)
	if err == nil {
		b.progress("size %d: making %d known fingerprints", size, knownObjects)
		err = each(ctx, workers, knownObjects, func(ctx context.Context, i int) error { return b.post(ctx, functions, newAlert(knownRun, i)) })
		s.since = time.Now()
	}
	if err := errors.Join(err, stopAll(functions.processes())); err != nil {
		return s, err
	}
	if err := b.api.counted(ctx, s.known, knownRun, knownObjects, 0, knownObjects); err != nil {
		return s, err
	}
	rest := size
	if s.known == s.namespace {
		rest -= knownObjects
	}
	return s, b.preload(ctx, s, rest)
}

// preload fills a namespace by bare creates.
func (b *bench) preload(ctx context.Context, s space, n int) error {
	const report = 10_000
	objects := b.api.objects.Namespace(s.namespace)
	var done atomic.Int64
	return each(ctx, workers, n, func(ctx context.Context, i int) error {
		if err := s.template.create(ctx, objects, preloadRun, i); err != nil {
			return err
		}
		if made := done.Add(1); made%report == 0 || made == int64(n) {
			b.progress("size %d: %d of %d objects preloaded", s.size, made, n)
		}
		return nil
	})
}

// settle waits until the known fingerprints are old enough to be remembered.
func (b *bench) settle(ctx context.Context, s space) error {
	due := s.since.Add(knownAge)
	if wait := time.Until(due); wait > 0 {
		b.progress("size %d: waiting %s until the known fingerprints are %s old", s.size, wait.Round(time.Second), knownAge)
	}
	return until(ctx, due)
}
