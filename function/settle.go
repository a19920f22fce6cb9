package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"onefire/audit"
	"onefire/config"
	"onefire/dedup"
	"onefire/mapping"
)

// errPanic marks an alert whose handling panicked.
var errPanic = errors.New("panic")

// cause is what the alerts of one event have in common.
type cause struct {
	source, id  string
	at          time.Time
	traceparent string
}

// result is what became of one alert.
type result struct {
	signal mapping.Signal
	reason mapping.Reason
	// name is the RemediationRequest's, count its occurrence count with this
	// alert; both empty where there is none.
	name  string
	count int32
	// err says why the alert is invalid or not settled.
	err error
}

func (r result) log(ctx context.Context, log *slog.Logger) {
	level := slog.LevelInfo
	if r.err != nil {
		level = slog.LevelWarn
	}
	attributes := []slog.Attr{
		slog.String("alertname", r.signal.Name),
		slog.String("decision", string(r.reason.Decision())),
		slog.String("reason", r.reason.String()),
		slog.String("fingerprint", r.signal.Fingerprint),
	}
	if r.name != "" {
		attributes = append(attributes, slog.String("object", r.signal.Namespace+"/"+r.name), slog.Int("count", int(r.count)))
	}
	if r.err != nil {
		attributes = append(attributes, slog.String("error", r.err.Error()))
	}
	log.LogAttrs(ctx, level, "alert", attributes...)
}

// group is the alerts of one event that share a fingerprint and a namespace.
type group struct {
	// firing are the alerts to count, by place in the event; keys are theirs,
	// and several alerts have the same when a body repeats an alert.
	firing []int
	keys   []string
	// resolved are the alerts that ended, the latest at ended.
	resolved []int
	ended    time.Time
}

// settleAlerts settles the alerts of an event, fingerprint by fingerprint, and
// returns one result per alert. What happens to one fingerprint does not touch
// another.
func (p *parts) settleAlerts(ctx context.Context, c cause, alerts []mapping.Alert) []result {
	results := make([]result, len(alerts))
	var work errgroup.Group
	work.SetLimit(maxParallel)
	groups, malformed := p.sort(c, alerts, results)
	for _, g := range groups {
		work.Go(func() error {
			defer guard(results, append(slices.Clone(g.firing), g.resolved...), p.log)
			p.settleGroup(ctx, c, g, results)
			return nil
		})
	}
	for _, i := range malformed {
		work.Go(func() error {
			defer guard(results, []int{i}, p.log)
			p.fail(ctx, c, i, results, "ERR_INVALID_ALERT")
			return nil
		})
	}
	// Errors are in the results: one must not hide the others.
	_ = work.Wait()
	return results
}

// guard keeps a panic in one alert's handling from ending the process.
func guard(results []result, alerts []int, log *slog.Logger) {
	cause := recover()
	if cause == nil {
		return
	}
	log.Error("panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	for _, i := range alerts {
		results[i].reason, results[i].err = mapping.Unavailable, errPanic
	}
}

// sort maps the alerts and puts those to settle into groups. The results of the
// others are complete, but for the audit of those that are malformed.
func (p *parts) sort(c cause, alerts []mapping.Alert, results []result) (groups []*group, malformed []int) {
	type subject struct{ namespace, fingerprint string }
	bySubject := map[subject]*group{}
	for i, a := range alerts {
		r := &results[i]
		var err error
		if r.signal, err = p.rules.Signal(a, c.at); err != nil {
			r.reason, r.err = mapping.Malformed, err
			malformed = append(malformed, i)
			continue
		}
		if reason, ignored := p.rules.Ignored(a); ignored {
			r.reason = reason
			continue
		}
		key := subject{r.signal.Namespace, r.signal.Fingerprint}
		g := bySubject[key]
		if g == nil {
			g = &group{}
			bySubject[key] = g
			groups = append(groups, g)
		}
		if !a.Resolved {
			g.firing = append(g.firing, i)
			g.keys = append(g.keys, dedup.Key(c.source, c.id, a.Identity(), a.Start))
			continue
		}
		ended := a.EndsAt
		if ended.IsZero() {
			ended = c.at
		}
		g.resolved = append(g.resolved, i)
		if ended.After(g.ended) {
			g.ended = ended
		}
	}
	return groups, malformed
}

func (p *parts) settleGroup(ctx context.Context, c cause, g *group, results []result) {
	if len(g.firing) > 0 {
		p.count(ctx, c, g, results)
	}
	if len(g.resolved) > 0 {
		o, err := p.dedup.Resolve(ctx, results[g.resolved[0]].signal, g.ended)
		for _, i := range g.resolved {
			r := &results[i]
			r.reason, r.name, r.count = o.Reason, o.Name, o.Count
			if err != nil {
				r.reason, r.err = mapping.Unavailable, err
			}
		}
	}
}

// count settles a group's firing alerts and sends their audit events.
func (p *parts) count(ctx context.Context, c cause, g *group, results []result) {
	place := map[string]int{}
	var distinct []string
	for _, key := range g.keys {
		if _, ok := place[key]; !ok {
			place[key] = len(distinct)
			distinct = append(distinct, key)
		}
	}
	outcomes, err := p.dedup.Settle(ctx, results[g.firing[0]].signal, distinct)
	var rejected *dedup.RejectedError
	var reports errgroup.Group
	reports.SetLimit(maxParallel)
	reported := map[string]bool{}
	for at, i := range g.firing {
		r, key := &results[i], g.keys[at]
		switch {
		case errors.As(err, &rejected):
			r.reason, r.err = mapping.Rejected, err
		case err != nil:
			r.reason, r.err = mapping.Unavailable, err
			continue
		default:
			o := outcomes[place[key]]
			r.reason, r.name, r.count = o.Reason, o.Name, o.Count
		}
		if reported[key] {
			continue // A body that repeats an alert says one thing.
		}
		reported[key] = true
		reports.Go(func() error {
			defer guard(results, []int{i}, p.log)
			if rejected != nil {
				p.fail(ctx, c, i, results, rejected.Code)
				return nil
			}
			p.report(ctx, c, i, results, mapping.Record{Decision: r.reason.Decision(), Request: r.name, Count: r.count})
			return nil
		})
	}
	_ = reports.Wait()
}

// fail sends the audit event of an alert that can never be settled.
func (p *parts) fail(ctx context.Context, c cause, i int, results []result, code string) {
	p.report(ctx, c, i, results, mapping.Record{
		Decision: mapping.Invalid,
		Failure:  &mapping.Failure{Code: code, Message: results[i].err.Error()},
	})
}

// report sends the audit events of one decision. When the sink is not available
// the alert is not settled, unless audit is best effort. What the sink refuses
// for good is set aside in the log, whole: no redelivery would change its mind.
func (p *parts) report(ctx context.Context, c cause, i int, results []result, d mapping.Record) {
	r := &results[i]
	for _, request := range p.rules.Audit(r.signal, d, p.now()) {
		err := p.sink.Deliver(ctx, audit.Event{
			Source:       c.source,
			ID:           c.id,
			Index:        i,
			Type:         request.EventType,
			Time:         request.Timestamp,
			Subject:      d.Request,
			PartitionKey: r.signal.Fingerprint,
			Traceparent:  c.traceparent,
			Data:         request,
		})
		var refused *audit.RefusedError
		switch {
		case err == nil:
		case errors.As(err, &refused):
			// Marshalling succeeded before, or the text says why not.
			whole, _ := json.Marshal(request)
			p.log.Error("audit event set aside", "error", err, "audit_event", json.RawMessage(whole))
		case p.config.AuditMode == config.AuditBestEffort:
			p.log.Warn("audit event lost: AUDIT_MODE is best-effort", "error", err, "type", request.EventType, "correlation_id", request.CorrelationID)
		default:
			r.reason, r.err = mapping.Unavailable, err
		}
	}
}
