package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"onefire/test/client"
)

// alert is a firing alert as Alertmanager writes it.
type alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

type webhook struct {
	Version  string  `json:"version"`
	Status   string  `json:"status"`
	Receiver string  `json:"receiver"`
	GroupKey string  `json:"groupKey"`
	Alerts   []alert `json:"alerts"`
}

// newAlert is the alert of one pod. All that a run makes has the run's name as
// its cluster, by which it is found again.
func newAlert(run string, i int) alert {
	pod := fmt.Sprintf("checkout-%d", i)
	return alert{
		Status: "firing",
		Labels: map[string]string{
			"alertname": "KubePodCrashLooping", "cluster": run, "container": "app", "instance": "10.1.2.3:8080",
			"job": "kube-state-metrics", "namespace": "payments", "pod": pod, "severity": "critical",
		},
		Annotations: map[string]string{
			"summary":     "Pod is crash looping.",
			"description": "Pod payments/" + pod + " (app) is in waiting state (reason: \"CrashLoopBackOff\").",
			"runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping",
		},
		StartsAt: "2026-01-17T11:00:00Z", EndsAt: "0001-01-01T00:00:00Z",
		GeneratorURL: "http://prometheus.example/graph?g0.expr=kube_pod_container_status_waiting_reason&g0.tab=1",
		Fingerprint:  fmt.Sprintf("%016x", i),
	}
}

// post sends alerts as one event to the function whose turn it is, and asks for
// a 200.
func (b *bench) post(ctx context.Context, functions fleet, alerts ...alert) error {
	n := b.events.Add(1)
	return b.postTo(ctx, functions[int(n)%len(functions)], n, alerts...)
}

func (b *bench) postTo(ctx context.Context, to *function, n int64, alerts ...alert) error {
	body, err := json.Marshal(webhook{Version: "4", Status: "firing", Receiver: "onefire", GroupKey: `{}:{alertname="KubePodCrashLooping"}`, Alerts: alerts})
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	status, answer, err := client.Binary(fmt.Sprintf("%s-%d", b.id, n), body).Post(ctx, b.http, to.url)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("the function answered %d: %.*s", status, maxAnswer, strings.TrimSpace(answer))
	}
	return nil
}
