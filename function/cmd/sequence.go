package cmd

import (
	"context"
	"fmt"
	"math"
	"time"

	"onefire/dedup"
	"onefire/function/kube"
	"onefire/mapping"
)

// sequence tells the outcomes of the alerts of one file, one after the other. Each alert
// finds the objects of the cluster, and those that the alerts before it would have made.
// No controller is simulated, so an active object stays active.
type sequence struct {
	rules mapping.Rules
	// look forecasts on the objects of the cluster. resolve finds the owner of a target
	// and whether it is in the scope; it is nil if neither is configured.
	look    forecaster
	resolve targetResolver
	// latest is the outcome of the last firing alert of a fingerprint. A fingerprint has
	// one namespace.
	latest map[string]dedup.Outcome
	// settled is the outcome of each occurrence, by its key.
	settled map[string]dedup.Outcome
}

// newSequence makes a sequence that begins without objects.
func newSequence(rules mapping.Rules) *sequence {
	return &sequence{
		rules: rules,
		look: func(_ context.Context, s mapping.Signal, resolved bool) (dedup.Outcome, error) {
			return dedup.FirstForecast(s, resolved), nil
		},
		latest:  map[string]dedup.Outcome{},
		settled: map[string]dedup.Outcome{},
	}
}

// explain explains the alerts of one delivery, in their order. Like the function, it
// settles the resolved ones last.
func (q *sequence) explain(ctx context.Context, d delivery) ([]explanation, error) {
	all := make([]explanation, len(d.Alerts))
	signals := make([]mapping.Signal, len(d.Alerts))
	now := time.Now()
	fresh := map[string]bool{}
	for i, a := range d.Alerts {
		var err error
		if all[i], signals[i], err = q.mapAlert(ctx, a); err != nil {
			return nil, err
		}
		if all[i].Reason == "" && q.rules.TooOld(a, d.sent, now) {
			all[i].decide(mapping.TooOld) // It is not known whether it was counted before.
		}
	}
	for _, resolved := range []bool{false, true} {
		for i, a := range d.Alerts {
			if all[i].Reason != "" || a.Resolved != resolved {
				continue
			}
			o, err := q.settle(ctx, d, a, signals[i], fresh)
			if err != nil {
				return nil, err
			}
			if all[i].Count = o.Count; o.Name != "" {
				all[i].Object = signals[i].Namespace + "/" + o.Name
			}
			all[i].decide(o.Reason)
		}
	}
	return all, nil
}

func (e *explanation) decide(reason mapping.Reason) {
	e.Decision, e.Reason = reason.Decision(), reason.String()
}

// mapAlert maps one alert. Its explanation has a reason if the alert is not settled.
func (q *sequence) mapAlert(ctx context.Context, a mapping.Alert) (explanation, mapping.Signal, error) {
	var how kube.OwnerResult
	signal, reason, problem := mapAlert(q.rules, a)
	if reason == 0 && q.resolve != nil {
		var err error
		if signal, how, reason, err = q.resolve(ctx, a, signal); err != nil {
			return explanation{}, signal, err
		}
	}
	e := explanation{
		Alertname: signal.Name, Status: "firing", Severity: signal.Severity, SeverityLabel: a.Labels["severity"],
		Target: target(signal.Target), ChosenBy: signal.Chosen, Fingerprint: signal.Fingerprint, Owner: how,
	}
	if a.Resolved {
		e.Status = "resolved"
	}
	if problem != nil {
		e.Error = problem.Error()
	}
	e.decide(reason)
	return e, signal, nil
}

// mapAlert maps one alert by its labels, as the function does. The reason is zero if the
// alert is to be settled. problem is why an alert can never be settled.
func mapAlert(rules mapping.Rules, a mapping.Alert) (signal mapping.Signal, reason mapping.Reason, problem error) {
	signal, problem = rules.Signal(a, time.Now())
	if problem != nil {
		return signal, mapping.Malformed, problem
	}
	reason, _ = rules.Ignored(a)
	return signal, reason, nil
}

// settle returns the outcome of one alert and stores it for the following ones. fresh has
// the keys of the delivery: an alert that a body repeats is settled once.
func (q *sequence) settle(ctx context.Context, d delivery, a mapping.Alert, s mapping.Signal, fresh map[string]bool) (dedup.Outcome, error) {
	last, known := q.latest[s.Fingerprint]
	if a.Resolved {
		if !known {
			return q.ask(ctx, s, true)
		}
		return resolve(last), nil
	}
	key := dedup.Key(d.source, d.id, a.Identity(), a.Start)
	if o, ok := q.settled[key]; ok {
		if !fresh[key] {
			o.Reason = replayed(o)
		}
		return o, nil
	}
	o := another(last)
	if !known {
		var err error
		if o, err = q.ask(ctx, s, false); err != nil {
			return o, err
		}
	}
	q.latest[s.Fingerprint], q.settled[key], fresh[key] = o, o, true
	return o, nil
}

func (q *sequence) ask(ctx context.Context, s mapping.Signal, resolved bool) (dedup.Outcome, error) {
	o, err := q.look(ctx, s, resolved)
	if err != nil {
		return o, fmt.Errorf("forecasting the outcome of %s: %w", s.Name, err)
	}
	return o, nil
}

// another is the outcome of one more occurrence after the last one of its fingerprint: a
// count on the same object.
func another(last dedup.Outcome) dedup.Outcome {
	if last.Reason.Decision() == mapping.New {
		last.Reason = mapping.Active
	}
	if last.Count < math.MaxInt32 {
		last.Count++
	}
	return last
}

// resolve is the outcome of the end of an alert after the last firing one of its
// fingerprint. A terminal object that asks for quiet is not marked as resolved.
func resolve(last dedup.Outcome) dedup.Outcome {
	if last.Reason == mapping.ManualReview || last.Reason == mapping.BackOff {
		return dedup.Outcome{Reason: mapping.ResolvedNothing}
	}
	last.Reason = mapping.ResolvedActive
	return last
}

// replayed is the reason for an occurrence that an earlier event contained.
func replayed(o dedup.Outcome) mapping.Reason {
	if o.Reason.Decision() == mapping.New {
		return mapping.ReplayedNew
	}
	return mapping.ReplayedDuplicate
}
