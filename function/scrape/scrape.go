// Package scrape serves metrics to Prometheus, on an address of their own.
package scrape

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	promclient "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

// timeout bounds one scrape.
const timeout = 10 * time.Second

// Start serves what the provider's instruments count at /metrics of an address,
// until stop. With an empty address nothing is counted and nothing served.
func Start(ctx context.Context, address string) (provider metric.MeterProvider, stop func(context.Context) error, err error) {
	if address == "" {
		return noop.NewMeterProvider(), func(context.Context) error { return nil }, nil
	}
	registry := promclient.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry), prometheus.WithoutScopeInfo(), prometheus.WithoutTargetInfo())
	if err != nil {
		return nil, nil, fmt.Errorf("making metrics: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, nil, fmt.Errorf("METRICS_ADDRESS: %w", err)
	}
	routes := http.NewServeMux()
	routes.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: routes, ReadTimeout: timeout, WriteTimeout: timeout}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // It ends when it is shut down.
	}()
	return sdk.NewMeterProvider(sdk.WithReader(exporter)), func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		<-served
		return err
	}, nil
}
