package function

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"

	"onefire/config"
	"onefire/dedup"
	"onefire/dedup/client"
	"onefire/function/kube"
	"onefire/function/telemetry"
)

// newService makes what the configuration asks for, and starts the telemetry. It opens no
// connection.
func newService(ctx context.Context, c config.Config, log *slog.Logger) (*service, error) {
	server, namespace, err := client.LoadWithNamespace(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	calls := &apiCalls{log: log}
	server.Wrap(calls.wrap)
	o := &observer{log: log, now: time.Now}
	brake, err := brakeOf(c, namespace)
	if err != nil {
		return nil, err
	}
	//nolint:contextcheck // Counters take a context, and have no use for one here.
	requests, err := dedup.New(server, dedup.Options{
		SignalType:   c.AuditSchema.SignalType(),
		HistoryLimit: c.HistoryLimit,
		Deleted:      o.deleted,
		LongPast:     o.longPast,
		Altered:      o.altered,
		Brake:        brake,
		BrakeUnread:  o.brakeUnread,
	})
	if err != nil {
		return nil, err
	}
	targets, err := newTargets(server, c)
	if err != nil {
		return nil, err
	}
	audit, err := newReporter(c, o)
	if err != nil {
		return nil, err
	}
	admission, err := newAdmission(server, c, o)
	if err != nil {
		return nil, err
	}
	// A started telemetry must be stopped, so nothing may fail after this call.
	t, err := telemetry.Start(ctx, telemetry.Options{
		Service: "onefire", Namespace: c.PodNamespace, Address: c.MetricsAddress, OTel: c.OTel, Log: log,
	})
	if err != nil {
		return nil, err
	}
	if o.metrics, err = newMetrics(t.Meter()); err != nil {
		return nil, errors.Join(err, t.Stop(ctx))
	}
	if brake.Name != "" {
		if err = measurePause(t.Meter(), requests.Paused); err != nil {
			return nil, errors.Join(err, t.Stop(ctx))
		}
	}
	o.tracer = telemetry.LiveTracer(t.Tracer())
	calls.tracer, calls.metrics = o.tracer, o.metrics
	if c.KubernetesEvents == config.On {
		o.events = kube.NewRecorder(server, instance(), log, o.metrics.event)
		o.self = self(c, namespace)
	}
	return &service{
		admission: admission, observer: o, telemetry: t, namespace: c.Namespace,
		pipeline: &pipeline{
			rules:    c.Rules(),
			targets:  targets,
			requests: requests,
			audit:    audit,
			reply:    c.Reply == config.ReplySummary,
			observer: o,
			now:      time.Now,
			slots:    semaphore.NewWeighted(maxSlots),
		},
	}, nil
}
