package function

import (
	"context"
	"errors"
	"sync"
	"time"

	"onefire/config"
)

// reachable asks the API server and, if alerts wait for it, the audit sink, both at once.
func (s *service) reachable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var asking sync.WaitGroup
	var kube, sink error
	asking.Go(func() { kube = s.pipeline.requests.Ready(ctx, s.namespace) })
	if audit := &s.pipeline.audit; audit.sink != nil && audit.mode == config.AuditRequired {
		asking.Go(func() { sink = audit.sink.Ready(ctx) })
	}
	asking.Wait()
	err := errors.Join(kube, sink)
	if err != nil {
		s.observer.log.Warn("not ready", "error", err)
	}
	return err == nil
}

// warm opens the connections that the first event needs, while the host gets ready to
// serve. It is a readiness probe that nobody waits for, and its result also answers the
// probes that come meanwhile. cool ends it and waits until it has ended.
func (f *Function) warm(ctx context.Context, s *service) (cool func()) {
	// A host may end the context of its start as soon as the start is done.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.ready.ask(func() bool { return s.reachable(ctx) })
	}()
	return func() {
		cancel()
		<-done
	}
}

// probe keeps the result of a check for [readyAge], so that many probes cost one check.
type probe struct {
	mu    sync.Mutex
	ok    bool
	since time.Time
}

func (p *probe) ask(check func() bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.since) > readyAge {
		p.ok, p.since = check(), time.Now()
	}
	return p.ok
}
