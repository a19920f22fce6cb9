package e2e

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"onefire/function"
	"onefire/mapping"
	"onefire/test/client"
	"onefire/test/history"
)

// send sends events of all kinds at their rate.
func (s *storm) send(ctx context.Context, senders *errgroup.Group) {
	tick := time.NewTicker(time.Second / eventRate)
	defer tick.Stop()
	wild, calm := s.pods()[:wildPods], s.pods()[wildPods:]
	// The storm is over when its context is, but not what is under way.
	ctx, stormy := context.WithoutCancel(ctx), ctx.Done()
	for {
		select {
		case <-stormy:
			return
		case <-tick.C:
		}
		s.sent++
		id := fmt.Sprint(s.sent)
		pod := wild[s.roll(len(wild))]
		switch roll := s.roll(100); {
		case s.sent == 1, roll == 34: // One always comes, however short the storm is.
			// Others leave them alone, and records are bounded.
			pod := fmt.Sprintf("poison-%d-%d", s.sent/1000, s.roll(poisonPods))
			senders.Go(func() error { return s.one(ctx, id, pod) })
		case roll < 30:
			senders.Go(func() error { return s.one(ctx, id, calm[s.roll(len(calm))]) })
		case roll < 32: // Delivered twice at once.
			pod := calm[s.roll(len(calm))]
			senders.Go(func() error { return s.one(ctx, id, pod) })
			senders.Go(func() error { return s.one(ctx, id, pod) })
		case roll < 34:
			senders.Go(func() error { return s.one(ctx, id, pod) })
			senders.Go(func() error { return s.one(ctx, id, pod) })
		case roll < 41:
			senders.Go(func() error { return s.many(ctx, id, pod, wild[s.roll(len(wild))]) })
		case roll < 46:
			senders.Go(func() error { return s.batch(ctx, id, wild[s.roll(len(wild))], pod, pod) })
		default:
			senders.Go(func() error { return s.one(ctx, id, pod) })
		}
	}
}

// one delivers an event with one alert.
func (s *storm) one(ctx context.Context, id, pod string) error {
	body := webhook(firing("Storm", pod))
	keys, _ := s.enter(s.t, id, body)
	accepted := func(history.Answer) {}
	if h := s.histories[pod]; h != nil {
		accepted = h.Deliver(keys[0])
	}
	answer, err := s.deliverOne(ctx, id, body)
	if err != nil {
		return fmt.Errorf("event %s: %w", id, err)
	}
	accepted(history.Answer{Object: answer.Object, Count: answer.Count})
	s.answer(keys)
	return nil
}

// many delivers an event with several alerts: of two pods, two of the one with
// any severity, one that is over, one that is none.
func (s *storm) many(ctx context.Context, id, pod, another string) error {
	severity := []string{"page", "warning", "info", "odd"}[s.roll(4)]
	alerts := []string{
		firing("Storm", pod), alert("firing", "alertname=Storm", "namespace=payments", "pod="+pod, "container=second", "severity="+severity),
		firing("Storm", another), alert("resolved", "alertname=Storm", "namespace=payments", "pod="+another),
		alert("firing", "pod=nameless"),
	}
	body := webhook(alerts...)
	keys, _ := s.enter(s.t, id, body)
	// The event has a time: DataStorage cannot be asked for the failure of one without.
	summary, err := s.deliver(ctx, client.Binary(id, []byte(body)).At(time.Now()))
	if err != nil {
		return fmt.Errorf("event %s: %w", id, err)
	}
	if decisions := decisionsOf(summary); len(decisions) != len(alerts) || decisions[4] != mapping.Invalid {
		return fmt.Errorf("event %s was answered %v", id, decisions)
	}
	s.answer(keys)
	return nil
}

func decisionsOf(summary []function.AlertSummary) (all []mapping.Decision) {
	for _, a := range summary {
		all = append(all, a.Decision)
	}
	return all
}

// batch delivers events in one request.
func (s *storm) batch(ctx context.Context, id string, pods ...string) error {
	var (
		ids    []string
		bodies [][]byte
		all    []string
	)
	for i, pod := range pods {
		ids = append(ids, fmt.Sprint(id, ".", i))
		bodies = append(bodies, []byte(webhook(firing("Storm", pod))))
		keys, _ := s.enter(s.t, ids[i], string(bodies[i]))
		all = append(all, keys...)
	}
	m, err := client.Batch(ids, bodies)
	if err != nil {
		return err
	}
	if _, err := s.deliver(ctx, m); err != nil {
		return fmt.Errorf("batch %s: %w", id, err)
	}
	s.answer(all)
	return nil
}
