package function

import (
	"context"
	"errors"
	"time"

	"onefire/audit"
)

// errManyLate is why an audit event is not even queued.
var errManyLate = errors.New("too many audit events wait for the audit sink already")

// reportLate sends audit events that no answer waits for. They are in the sink's queue
// when it returns, in the order of the decisions; a goroutine then notes what became of
// them. There are at most [maxLate] of these, and Stop waits for them.
func (p *parts) reportLate(ctx context.Context, sendings []sending, events []audit.Event) {
	ctx = context.WithoutCancel(ctx)
	if !p.late.TryAcquire(1) {
		for _, s := range sendings {
			p.conclusion(ctx, s, errManyLate, 0)
		}
		return
	}
	for i := range sendings {
		sendings[i].event = audit.Event{} // The queue has what it needs, and bounds it.
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, lateTimeout)
	wait := p.sink.Send(ctx, events)
	go func() {
		defer p.late.Release(1)
		defer cancel()
		defer p.guard(nil)
		errs := wait()
		took := time.Since(begun)
		for i, s := range sendings {
			p.conclusion(ctx, s, errs[i], took)
		}
	}()
}

// lost counts on the metric; the log has one line in [lossPause].
func (p *parts) lost(s sending, err error) {
	if n, ok := p.losses.Next(p.now(), lossPause); ok {
		p.log.Warn("audit event lost: AUDIT_MODE is best-effort", "error", err, "type", s.kind, "correlation_id", s.correlation, "unlogged", n)
	}
}

// finishLate waits until no audit event is on its way any more, or the context ends.
func (p *parts) finishLate(ctx context.Context) error {
	if err := p.late.Acquire(ctx, maxLate); err != nil {
		return err
	}
	p.late.Release(maxLate)
	return nil
}
