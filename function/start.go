package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/config"
	"onefire/dedup"
	"onefire/function/events"
	"onefire/function/telemetry"
	"onefire/function/tracing"
)

// newService makes what the configuration asks for, and starts its telemetry. It opens
// no connection.
func newService(ctx context.Context, c config.Config, log *slog.Logger) (*service, error) {
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	if c.Kubeconfig != "" {
		loading.Precedence = filepath.SplitList(c.Kubeconfig)
	}
	// Deferred loading falls back to the pod's own service account.
	kube := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, nil)
	client, err := kube.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no way to a Kubernetes API server (set KUBECONFIG, or run in a cluster): %w", err)
	}
	calls := &apiCalls{log: log}
	client.Wrap(calls.wrap)
	o := &observer{log: log, now: time.Now}
	//nolint:contextcheck // Counters take a context, and have no use for one here.
	requests, err := dedup.New(client, dedup.Options{
		SignalType:   c.AuditSchema.SignalType(),
		HistoryLimit: c.HistoryLimit,
		Deleted:      o.deleted,
		LongPast:     o.longPast,
		Altered:      o.altered,
	})
	if err != nil {
		return nil, err
	}
	targets, err := newTargets(client, c)
	if err != nil {
		return nil, err
	}
	audit, err := newReporter(c, o)
	if err != nil {
		return nil, err
	}
	admission, err := newAdmission(client, c, o)
	if err != nil {
		return nil, err
	}
	// What follows needs an end: nothing may fail after it.
	t, err := telemetry.Start(ctx, telemetry.Options{
		Service: "onefire", Namespace: c.PodNamespace, Address: c.MetricsAddress, OTel: c.OTel, Log: log,
	})
	if err != nil {
		return nil, err
	}
	if o.metrics, err = newMetrics(t.Meter()); err != nil {
		return nil, errors.Join(err, t.Stop(ctx))
	}
	o.tracer = tracing.Live(t.Tracer())
	calls.tracer, calls.metrics = o.tracer, o.metrics
	if c.KubernetesEvents == config.On {
		o.events = events.New(client, instance(), log, o.metrics.event)
		o.self = self(c, kube)
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
