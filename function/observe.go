package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/trace"

	"onefire/audit"
	"onefire/dedup"
	"onefire/function/kube"
	"onefire/function/receive"
	"onefire/function/telemetry"
	"onefire/mapping"
)

// observer gets the results of the steps and reports them as spans (spans.go), metrics
// (metrics.go), log lines and Kubernetes Events (kubeevents.go). It decides nothing. It
// is safe for concurrent use.
type observer struct {
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics
	// tracer is nil if nothing is traced.
	tracer trace.Tracer
	// events is nil if Kubernetes Events are turned off. self is the object for those
	// that have no object of their own; it is empty if unknown.
	events *kube.Recorder
	self   kube.Object
	// refusals limits the log lines about senders that may not send, faults those about
	// senders that cannot be checked, and losses those about lost audit events.
	refusals, faults, losses receive.LogLimit
	longPasts                longPasts
	// unread limits the log lines about a brake that cannot be read. heldBy has the
	// brakes and quotas on which a Kubernetes Event was recorded.
	unread receive.LogLimit
	heldBy reminders
	// warned is done once the log has said that admission changes new objects.
	warned sync.Once
}

// request is called with each answer.
func (o *observer) request(ctx context.Context, status int, took time.Duration) {
	o.metrics.request(ctx, status, took)
}

// notAdmitted is called for each sender that is not admitted. It logs at most one line in
// [refusalPause].
func (o *observer) notAdmitted(a receive.Answer, user string) {
	lines := &o.refusals
	if a.Status == http.StatusServiceUnavailable {
		lines = &o.faults // This fault is ours, so strangers must not hide it.
	}
	if n, ok := lines.Next(o.now(), refusalPause); ok {
		o.log.Warn("sender not admitted", "status", a.Status, "user", user, "error", a.Reason, "unlogged", n)
	}
}

// observedEvent is one event that is being handled.
type observedEvent struct {
	*observer
	event event.Event
	begun time.Time
	span  trace.Span
	log   *slog.Logger
}

// event begins to observe an event. The steps use the context that it returns.
func (o *observer) event(ctx context.Context, e event.Event, now time.Time) (context.Context, observedEvent) {
	ctx, span := o.startEvent(ctx, e)
	log := o.log.With("event_id", e.ID(), "event_source", e.Source())
	if id := telemetry.TraceID(span, traceparent(e)); id != "" {
		log = log.With("trace_id", id)
	}
	return ctx, observedEvent{o, e, now, span, log}
}

// answered is called with the answer to an event and the results of its alerts.
func (o observedEvent) answered(ctx context.Context, a receive.Answer, results []result, truncated uint64) {
	endEvent(o.span, a, results, truncated)
	for i := range results {
		results[i].log(ctx, o.log)
		o.metrics.alert(ctx, results[i].reason)
	}
	if truncated > 0 {
		o.metrics.truncated.Add(ctx, int64(min(truncated, 1<<32)))
		o.log.Warn("Alertmanager left out alerts: raise the receiver's max_alerts or group by more labels", "truncated", truncated)
	}
	o.kubernetesEvents(o.event, results, truncated)
	attributes := []any{"event_type", o.event.Type(), "status", a.Status, "alerts", len(results),
		"decisions", decisions(results), "duration_ms", o.now().Sub(o.begun).Milliseconds()}
	if a.Reason != "" {
		o.log.Warn("event", append(attributes, "error", a.Reason)...)
	} else {
		o.log.Info("event", attributes...)
	}
}

func (r *result) log(ctx context.Context, log *slog.Logger) {
	level := slog.LevelInfo
	if r.err != nil || r.pause != nil || r.reason == mapping.TooOld || r.owner == kube.Forbidden || r.owner == kube.Refused || r.unread != "" {
		level = slog.LevelWarn
	}
	attributes := []slog.Attr{
		slog.String("alertname", r.signal.Name),
		slog.String("decision", string(r.reason.Decision())),
		slog.String("reason", r.reason.String()),
		slog.String("fingerprint", r.signal.Fingerprint),
	}
	if r.owner != "" {
		attributes = append(attributes, slog.String("target", r.signal.Target.Kind+"/"+r.signal.Target.Name), slog.String("owner", string(r.owner)))
	}
	if r.unread != "" {
		attributes = append(attributes, slog.String("scope", string(r.unread)))
	}
	if r.name != "" {
		attributes = append(attributes, slog.String("object", r.signal.Namespace+"/"+r.name), slog.Int("count", int(r.count)))
	}
	if r.err != nil {
		attributes = append(attributes, slog.String("error", r.err.Error()))
	}
	attributes = append(attributes, r.pausedAttributes()...)
	log.LogAttrs(ctx, level, "alert", attributes...)
}

// decisions counts the decisions for the log: "new=2 duplicate=1".
func decisions(results []result) string {
	counts := map[mapping.Decision]int{}
	for i := range results {
		counts[results[i].reason.Decision()]++
	}
	s := ""
	for _, d := range []mapping.Decision{mapping.New, mapping.Duplicate, mapping.Resolved, mapping.Filtered, mapping.Stale, mapping.Paused, mapping.Capped, mapping.Invalid, mapping.Unsettled} {
		if counts[d] > 0 {
			s += " " + string(d) + "=" + strconv.Itoa(counts[d])
		}
	}
	if s == "" {
		return ""
	}
	return s[1:]
}

// dryRun is called with the results of a dry run.
func (o *observer) dryRun(e event.Event, results []result) {
	o.log.Info("dry run", "event_id", e.ID(), "event_source", e.Source(), "decisions", decisions(results))
}

// targets is called with the results of the search for targets.
func (o *observer) targets(ctx context.Context, results []result) {
	for i := range results {
		switch r := &results[i]; {
		case r.ownerUnknown:
			o.metrics.target(ctx, string(mapping.Unsettled))
		case r.owner != "":
			o.metrics.target(ctx, string(r.owner))
		}
	}
}

// audited is called with the outcome of an audit event. The log has the whole audit event
// if the sink rejected it, and at most one line in [lossPause] about those that were
// lost.
func (o *observer) audited(ctx context.Context, a *auditEvent, what delivered, err error, took time.Duration) {
	switch what {
	case setAside:
		var refused *audit.RefusedError
		_ = errors.As(err, &refused) // A rejected audit event has this error.
		o.log.Error("audit event rejected by the audit sink", "error", err, "cloudevent", refused.Event)
	case lost:
		if n, ok := o.losses.Next(o.now(), lossPause); ok {
			o.log.Warn("audit event lost: AUDIT_MODE is best-effort", "error", err, "type", a.kind, "correlation_id", a.correlation, "unlogged", n)
		}
	}
	o.metrics.delivery(ctx, what, took)
	o.metrics.audit(ctx, what)
	endAudit(a.span, what, err)
}

// errPanic marks an alert whose handling panicked.
var errPanic = errors.New("panic")

// recoverPanic keeps a panic in the handling of alerts from ending the process. The
// alerts are then not settled. It must be deferred directly.
func (o *observer) recoverPanic(alerts ...*result) {
	cause := recover()
	if cause == nil {
		return
	}
	o.log.Error("panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	for _, r := range alerts {
		r.unavailable(errPanic)
	}
}

// deleted is called with each object that was deleted because of HISTORY_LIMIT.
func (o *observer) deleted(namespace, name string) {
	o.log.Info("deleted an ended object: HISTORY_LIMIT newer ones exist", "object", namespace+"/"+name)
	o.metrics.outdated.Add(context.Background(), 1)
}

// altered is called with each object that admission has changed. It logs that once.
func (o *observer) altered(namespace, name string, changed []string) {
	o.warned.Do(func() {
		o.log.Warn("an admission policy or webhook changes the RemediationRequests that are created: exempt them, or some guarantees do not hold",
			"object", namespace+"/"+name, "changed", changed)
	})
}

// longPast is called with each List of a fingerprint whose past is long.
func (o *observer) longPast(past dedup.LongPast) {
	o.metrics.longPasts.Add(context.Background(), 1)
	if o.longPasts.due(past, o.now()) {
		o.log.Warn("a fingerprint has so many RemediationRequests that each of its alerts is slow: delete ended ones",
			"namespace", past.Namespace, "fingerprint", past.Fingerprint, "remediationRequests", past.Objects, "pages", past.Paged)
	}
}

// longPasts limits the log lines about long pasts to one an hour for each fingerprint.
type longPasts struct {
	mu     sync.Mutex
	logged map[dedup.LongPast]time.Time
}

// due tells whether the log should have a line now, and notes it as written.
func (l *longPasts) due(past dedup.LongPast, now time.Time) bool {
	who := dedup.LongPast{Namespace: past.Namespace, Fingerprint: past.Fingerprint}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.logged[who]) < historyPause {
		return false
	}
	if l.logged == nil || len(l.logged) >= maxHistories {
		l.logged = map[dedup.LongPast]time.Time{} // The log then has some lines twice.
	}
	l.logged[who] = now
	return true
}
