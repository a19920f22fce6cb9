package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/config"
	"onefire/dedup"
	"onefire/function/kube"
	"onefire/function/receive"
)

// This file reports the alerts for which no object was made, because the brake is on or a
// quota is used up. Package dedup makes that decision.

// The reasons of the Kubernetes Events about them.
const (
	// ReasonPaused: the brake is on, so an alert did not become a RemediationRequest.
	ReasonPaused = "RemediationPaused"
	// ReasonCapped: a ResourceQuota is used up, so an alert did not become a
	// RemediationRequest.
	ReasonCapped = "RemediationCapped"
)

// cappedCode is the audit contract's error code of an alert that a quota refused.
const cappedCode = "ERR_K8S_QUOTA_EXCEEDED"

// brakeOf returns the name of the brake's ConfigMap, which is in the function's
// namespace. The name is empty if the configuration turns the brake off.
func brakeOf(c config.Config, fallback func() (string, error)) (types.NamespacedName, error) {
	if c.Brake == config.NoBrake {
		return types.NamespacedName{}, nil
	}
	namespace, err := ownNamespace(c, fallback)
	if err != nil {
		return types.NamespacedName{}, fmt.Errorf("no namespace for the brake (set POD_NAMESPACE): %w", err)
	}
	return types.NamespacedName{Namespace: namespace, Name: c.Brake}, nil
}

// ownNamespace is the namespace that the function runs in: that of its pod, or else that
// of its Kubernetes client.
func ownNamespace(c config.Config, fallback func() (string, error)) (string, error) {
	if c.PodNamespace != "" {
		return c.PodNamespace, nil
	}
	return fallback()
}

// keptKey is the context's key of a request whose sender keeps its event until the event
// is settled, see [receive.KeptHeader].
type keptKey struct{}

func withKept(ctx context.Context, h http.Header) context.Context {
	if h.Get(receive.KeptHeader) == "" {
		return ctx
	}
	return context.WithValue(ctx, keptKey{}, true)
}

// withhold notes why no object was made for an alert. If the sender keeps the event, the
// alert counts as not settled. Otherwise the sender would delete the event, although the
// alert may not fire again.
func (r *result) withhold(ctx context.Context, o dedup.Outcome) {
	r.pause, r.capped = o.Paused, o.Capped
	if o.Capped != nil {
		r.err, r.code = o.Capped, cappedCode
	}
	if kept, _ := ctx.Value(keptKey{}).(bool); kept && o.Capped != nil {
		r.unavailable(o.Capped)
	} else if kept && o.Paused != nil {
		r.unavailable(errors.New(paused(o.Paused)))
	}
}

// paused describes a brake that is on: since when, and why.
func paused(p *dedup.Pause) string {
	text := "the brake is on since " + p.Since.Format(time.RFC3339)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// pausedAttributes are the same as attributes of a log line.
func (r *result) pausedAttributes() []slog.Attr {
	if r.pause == nil {
		return nil
	}
	return []slog.Attr{slog.Time("paused_since", r.pause.Since), slog.String("paused_because", r.pause.Reason)}
}

// brakeUnread is called with each Get of the brake that failed. It logs at most one line
// in [brakePause].
func (o *observer) brakeUnread(err error) {
	if n, ok := o.unread.Next(o.now(), brakePause); ok {
		o.log.Warn("the brake cannot be read: its last known state stays valid, and it is off if none is known", "error", err, "unlogged", n)
	}
}

// recordHeld records a Kubernetes Event for an alert without an object, on the brake or
// on the quota.
func (o *observer) recordHeld(r *result) {
	e := kube.Event{Type: kube.Warning, Action: "Create", At: o.now()}
	switch {
	case r.pause != nil:
		e.On = kube.Object{APIVersion: "v1", Kind: "ConfigMap", Namespace: r.pause.Namespace, Name: r.pause.Name, UID: r.pause.UID}
		e.Reason, e.Note = ReasonPaused, "No new RemediationRequests are made: "+paused(r.pause)
	case r.capped != nil:
		e.On = kube.Object{APIVersion: "v1", Kind: "ResourceQuota", Namespace: r.signal.Namespace, Name: r.capped.Quota}
		e.Reason, e.Note = ReasonCapped, "No new RemediationRequests are made: the quota is used up"
	default:
		return
	}
	if o.heldBy.due(e.On, e.At) {
		o.events.Record(e)
	}
}

// reminders remembers on which objects a Kubernetes Event was recorded, and when. The API
// server keeps such an event for an hour, so a second one within that hour would only
// displace others.
type reminders struct {
	mu   sync.Mutex
	last map[kube.Object]time.Time
}

// due tells whether a Kubernetes Event must be recorded on an object, and notes it as
// recorded.
func (r *reminders) due(on kube.Object, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.last[on]) < kube.EventTTL {
		return false
	}
	if r.last == nil || len(r.last) >= maxReminders {
		r.last = map[kube.Object]time.Time{} // Some are then recorded twice.
	}
	r.last[on] = now
	return true
}
