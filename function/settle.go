package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"onefire/dedup"
	"onefire/function/owner"
	"onefire/mapping"
)

// errPanic marks an alert whose handling panicked.
var errPanic = errors.New("panic")

// cause is what the alerts of one event have in common.
type cause struct {
	source, id string
	// at is the event's time; undated tells that it has none to believe, and that
	// this is when it was read.
	at      time.Time
	undated bool
	// sent is the event's [mapping.Sent], and now when it was read.
	sent, now   time.Time
	traceparent string
}

// result is what became of one alert.
type result struct {
	signal mapping.Signal
	// key tells the occurrence from all others.
	key    string
	reason mapping.Reason
	// old tells that the alert makes nothing new: see [mapping.Rules.TooOld].
	old bool
	// aimed says how the signal's target was found; empty where its labels name it.
	aimed owner.Result
	// unread says why the labels that SCOPE asks for could not be read; empty where
	// they were.
	unread owner.Result
	// name is the RemediationRequest's, count its occurrence count with this
	// alert, uid its UID where it was counted, at when that was; all empty where
	// there is none.
	name  string
	count int32
	uid   types.UID
	at    time.Time
	// err says why the alert is invalid or not settled.
	err error
	// code is the audit contract's error code of an invalid alert.
	code string
}

func (r result) log(ctx context.Context, log *slog.Logger) {
	level := slog.LevelInfo
	if r.err != nil || r.reason == mapping.TooOld || r.aimed == owner.Forbidden || r.aimed == owner.Refused || r.unread != "" {
		level = slog.LevelWarn
	}
	attributes := []slog.Attr{
		slog.String("alertname", r.signal.Name),
		slog.String("decision", string(r.reason.Decision())),
		slog.String("reason", r.reason.String()),
		slog.String("fingerprint", r.signal.Fingerprint),
	}
	if r.aimed != "" {
		attributes = append(attributes, slog.String("target", r.signal.Target.Kind+"/"+r.signal.Target.Name), slog.String("owner", string(r.aimed)))
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
	log.LogAttrs(ctx, level, "alert", attributes...)
}

// group is the alerts of one event that share a fingerprint and a namespace, by
// place in the event.
type group struct {
	firing   []int
	resolved []int
	// old ones fired when their event was sent, which is too long ago.
	old []int
}

// all are the places of all alerts of the group.
func (g *group) all() []int { return slices.Concat(g.firing, g.resolved, g.old) }

// settleAlerts settles the alerts of an event and then sends their audit events.
// It returns one result per alert. What happens to one fingerprint does not
// touch another, and a sink that hangs keeps no object from being made.
func (p *parts) settleAlerts(ctx context.Context, c cause, alerts []mapping.Alert) []result {
	results := p.judge(ctx, c, alerts)
	groups := p.divide(alerts, results)
	p.spread(ctx, len(groups), func(i int) {
		g := groups[i]
		defer p.guard(results, g.all()...)
		p.settleGroup(ctx, g, results)
	})
	p.report(ctx, c, results)
	return results
}

// judge says which alerts of an event are to be settled, and on which target: their
// results have no reason yet.
func (p *parts) judge(ctx context.Context, c cause, alerts []mapping.Alert) []result {
	results := make([]result, len(alerts))
	for i, a := range alerts {
		p.assess(c, a, i, results)
	}
	p.aim(ctx, alerts, results)
	return results
}

// spread calls do for 0 to n-1, up to maxParallel at once and maxPlaces over all
// events, and waits for all. When the context ends before there is a place, what
// is left is done here, one by one: with that context it fails at once.
func (p *parts) spread(ctx context.Context, n int, do func(i int)) {
	var working errgroup.Group
	working.SetLimit(maxParallel)
	for i := range n {
		if n == 1 || p.places.Acquire(ctx, 1) != nil {
			do(i)
			continue
		}
		working.Go(func() error {
			defer p.places.Release(1)
			do(i)
			return nil
		})
	}
	// What goes wrong is in the results: one must not hide the others.
	_ = working.Wait()
}

// guard keeps a panic in the handling of alerts from ending the process.
func (p *parts) guard(results []result, alerts ...int) {
	cause := recover()
	if cause == nil {
		return
	}
	p.log.Error("panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	for _, i := range alerts {
		results[i].reason, results[i].err = mapping.Unavailable, errPanic
	}
}

// divide puts the alerts that are to be settled into groups. The results of the
// others are complete.
func (p *parts) divide(alerts []mapping.Alert, results []result) []*group {
	type subject struct{ namespace, fingerprint string }
	bySubject := map[subject]*group{}
	var groups []*group
	for i, a := range alerts {
		r := &results[i]
		if r.reason != 0 {
			continue
		}
		key := subject{r.signal.Namespace, r.signal.Fingerprint}
		g := bySubject[key]
		if g == nil {
			g = &group{}
			bySubject[key] = g
			groups = append(groups, g)
		}
		switch {
		case a.Resolved:
			g.resolved = append(g.resolved, i)
		case r.old:
			g.old = append(g.old, i)
		default:
			g.firing = append(g.firing, i)
		}
	}
	return groups
}

// assess maps one alert. Its result has a reason when there is nothing to settle.
func (p *parts) assess(c cause, a mapping.Alert, i int, results []result) {
	defer p.guard(results, i)
	r := &results[i]
	identity := a.Identity()
	if a.Problem != "" {
		identity = string(a.Raw)
	}
	r.key = dedup.Key(c.source, c.id, identity, a.Start)
	var err error
	if r.signal, err = p.rules.Signal(a, c.at); err != nil {
		r.reason, r.err, r.code = mapping.Malformed, err, "ERR_INVALID_ALERT"
		return
	}
	if c.undated {
		r.signal = r.signal.Undated()
	}
	if reason, ignored := p.rules.Ignored(a); ignored {
		r.reason = reason
	}
	r.old = p.rules.TooOld(a, c.sent, c.now)
}

func (p *parts) settleGroup(ctx context.Context, g *group, results []result) {
	ctx, span := p.settling(ctx)
	defer g.settled(span, results)
	if len(g.firing) > 0 {
		p.count(ctx, g.firing, results)
	}
	if len(g.resolved) > 0 {
		p.resolve(ctx, g.resolved, results)
	}
	if len(g.old) > 0 {
		p.recall(ctx, g.old, results)
	}
}

// recall settles the alerts of one fingerprint that are too old: those that were
// counted before have the outcome that they had.
func (p *parts) recall(ctx context.Context, old []int, results []result) {
	keys := make([]string, len(old))
	for i, place := range old {
		keys[i] = results[place].key
	}
	outcomes, err := p.dedup.Recall(ctx, results[old[0]].signal, keys)
	for i, place := range old {
		r := &results[place]
		if err != nil {
			r.reason, r.err = mapping.Unavailable, err
			continue
		}
		r.take(outcomes[i])
	}
}

// take notes what a key came to.
func (r *result) take(o dedup.Outcome) {
	r.reason, r.name, r.count, r.uid, r.at = o.Reason, o.Name, o.Count, o.UID, o.At
}

// resolve settles the resolved alerts of one fingerprint.
func (p *parts) resolve(ctx context.Context, resolved []int, results []result) {
	signals := make([]mapping.Signal, len(resolved))
	for i, place := range resolved {
		signals[i] = results[place].signal
	}
	outcomes, err := p.dedup.Resolve(ctx, signals)
	for i, place := range resolved {
		r := &results[place]
		if err != nil {
			r.reason, r.err = mapping.Unavailable, err
			continue
		}
		r.reason, r.name, r.count = outcomes[i].Reason, outcomes[i].Name, outcomes[i].Count
	}
}

// count settles the firing alerts of one fingerprint.
func (p *parts) count(ctx context.Context, firing []int, results []result) {
	place := map[string]int{}
	var keys []string
	var signals map[string]mapping.Signal // One alert needs none.
	if len(firing) > 1 {
		signals = make(map[string]mapping.Signal, len(firing))
	}
	for _, i := range firing {
		key := results[i].key
		if _, ok := place[key]; ok {
			continue
		}
		if signals != nil {
			signals[key] = results[i].signal
		}
		place[key] = len(keys)
		keys = append(keys, key)
	}
	signal := results[firing[0]].signal
	outcomes, err := p.dedup.Settle(ctx, signal, keys, signals)
	for _, i := range firing {
		r := &results[i]
		if err != nil {
			r.reason, r.err = mapping.Unavailable, err
			continue
		}
		o := outcomes[place[r.key]]
		r.take(o)
		if o.Rejected != nil {
			p.reject(r, o.Rejected)
		}
	}
}

// reject notes that no redelivery can settle an alert. A namespace that is missing, or
// goes, is the alert's own only where the alert chose it: its target goes too then. An
// operator can bring back the configured one.
func (p *parts) reject(r *result, why *dedup.RejectedError) {
	r.reason, r.err, r.code = mapping.Rejected, why, why.Code
	if why.OfNamespace() && r.signal.Namespace == p.rules.Namespace {
		r.reason, r.code = mapping.Unavailable, ""
	}
}
