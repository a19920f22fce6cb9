package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"onefire/audit"
	"onefire/config"
	"onefire/function/telemetry"
)

// delivery sends the events of one webhook.
type delivery struct {
	*Source
	hook        *webhook
	source      string
	traceparent string
	began       time.Time
	// occurrences are the events, and drafts have their content.
	occurrences []*occurrence
	drafts      []draft

	mu     sync.Mutex
	counts map[result]int
	// down is the first error because of which an event could not be sent, gone is an
	// error because of which no event can be sent, and refusal is the first rejection.
	down, gone, refusal error
}

// draft is the content of one event.
type draft struct {
	eventType  string
	at         time.Time
	data       func() []byte
	size       int // of the data, in bytes, or a little less
	extensions map[string]string
	watchdog   bool
}

func (s *Source) newDelivery(hook *webhook, body []byte, traceparent string, now time.Time) *delivery {
	d := &delivery{Source: s, hook: hook, source: s.config.EventSource, traceparent: traceparent, began: now, counts: map[result]int{}}
	if d.source == "" {
		d.source = sourceOf(hook.receiver)
	}
	if s.config.Split == config.SplitNotification {
		o := s.memory.recall(hook.keyOfAll(d.source), hook.begun, now)
		d.occurrences = []*occurrence{o}
		d.drafts = []draft{{NotificationType, s.memory.at(o, now), func() []byte { return body }, len(body), extensionsOfAll(hook), slices.ContainsFunc(hook.alerts, s.isWatchdog)}}
		return d
	}
	envelope := hook.envelope()
	for _, a := range hook.alerts {
		o := s.memory.recall(hook.key(AlertType, d.source, a), hook.begun, now)
		d.occurrences = append(d.occurrences, o)
		d.drafts = append(d.drafts, draft{AlertType, s.memory.at(o, now), func() []byte { return hook.with(a.raw, a.status) }, envelope + len(a.raw), extensions(a), s.isWatchdog(a)})
	}
	return d
}

func (s *Source) isWatchdog(a alert) bool { return a.name == s.config.Watchdog && a.status == "firing" }

// run sends all events and makes the answer. At most maxParallel of them are sent at
// once, and at most maxSlots over all webhooks.
func (d *delivery) run(ctx context.Context) answer {
	log, span := d.log, trace.SpanFromContext(ctx)
	d.hook.describe(span)
	if id := telemetry.TraceID(span, d.traceparent); id != "" {
		log = log.With("trace_id", id)
	}
	if d.hook.truncated > 0 {
		d.metrics.truncated.Add(ctx, d.hook.leftOut())
		d.log.Error("Alertmanager left out alerts: raise the receiver's max_alerts or group by more labels",
			"truncated", d.hook.truncated, "receiver", d.hook.receiver, "group_key", d.hook.groupKey)
	}
	var working errgroup.Group
	working.SetLimit(maxParallel)
	for i := range d.drafts {
		working.Go(func() error {
			slots := 1 + int64(d.drafts[i].size/slotSize)
			if d.slots.Acquire(ctx, slots) != nil {
				d.note(ctx, i, false, context.Cause(ctx))
				return nil
			}
			defer d.slots.Release(slots)
			again, err := d.memory.sendOnce(ctx, d.occurrences[i], func() error { return d.send(ctx, i) })
			d.note(ctx, i, again, err)
			return nil
		})
	}
	// Errors are noted: one error must not hide the others.
	_ = working.Wait()
	log.Info("webhook", "receiver", d.hook.receiver, "alerts", len(d.hook.alerts), "truncated", d.hook.truncated,
		"sent", d.counts[sent], "again", d.counts[again], "set_aside", d.counts[setAside], "unavailable", d.counts[unavailable],
		"duration_ms", d.now().Sub(d.began).Milliseconds())
	return d.makeAnswer()
}

// makeAnswer makes the answer. If the sink rejects only some of the events, Alertmanager
// must not send the webhook again. If it rejects all of them, the answer is an error, so
// that Alertmanager logs the reason.
func (d *delivery) makeAnswer() answer {
	all := len(d.drafts)
	switch {
	case d.counts[unavailable] > 0:
		return answered(http.StatusServiceUnavailable, "%d of %d events could not be sent: %v", d.counts[unavailable], all, d.down)
	case d.counts[setAside] == all:
		status := http.StatusBadRequest
		if r := (*audit.RefusedError)(nil); errors.As(d.refusal, &r) && r.Status == http.StatusRequestEntityTooLarge {
			status = r.Status
		}
		return answered(status, "the sink rejected all %d events, which are in the log of the source: %v", all, d.refusal)
	}
	return answered(http.StatusOK, "%d events accepted, %d already accepted, %d rejected", d.counts[sent], d.counts[again], d.counts[setAside])
}

// send makes and sends one event.
func (d *delivery) send(ctx context.Context, i int) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			d.log.Error("panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	attempts, err := d.attempts()
	if err != nil {
		return err
	}
	ctx, span := d.sending(ctx, i)
	defer span.End()
	err = d.sink.deliver(ctx, d.event(i, telemetry.Outgoing(span, d.traceparent)), attempts)
	if err != nil {
		telemetry.Fail(span, "unavailable", err.Error())
	}
	return err
}

func (d *delivery) event(i int, traceparent string) event.Event {
	p, o := d.drafts[i], d.occurrences[i]
	p.extensions["traceparent"] = traceparent
	return newEvent(o.id, d.source, p.eventType, p.at, p.extensions, p.data())
}

// attempts is how often an event is tried. It is only once if another event of the
// webhook was not accepted, because Alertmanager then sends the webhook again anyway, and
// never if the sink cannot be reached.
func (d *delivery) attempts() (uint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil {
		return 1, d.gone
	}
	return maxAttempts, nil
}

// note notes the outcome of an event.
func (d *delivery) note(ctx context.Context, i int, before bool, err error) {
	r := sent
	var refusal *audit.RefusedError
	switch {
	case errors.As(err, &refusal):
		if r = setAside; !before {
			d.log.Error("event rejected by the sink", "error", refusal, "cloudevent", refusal.Event)
		}
	case err != nil:
		r = unavailable
	case before:
		r = again
	}
	d.metrics.event(ctx, r)
	if d.drafts[i].watchdog && (r == sent || r == again) {
		d.metrics.watchdog.Record(ctx, d.now().Unix())
	}
	d.log.Debug("event", "event_id", d.occurrences[i].id, "event_source", d.source, "result", r, "alertname", d.drafts[i].extensions["alertname"])
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[r]++
	switch {
	case r == setAside && d.refusal == nil:
		d.refusal = err
	case r == unavailable && d.down == nil:
		d.down = err
	}
	if unreachable(err) {
		d.gone = err
	}
}
