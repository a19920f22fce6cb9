package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"onefire/config"
)

// scope is the instrumentation scope of all metrics and spans.
const scope = "onefire"

// Options describe the process and its telemetry.
type Options struct {
	// Service is the service's name; OTEL_SERVICE_NAME overrides it.
	Service string
	// Version is the service's version; [Version] if it is empty.
	Version string
	// Namespace is the namespace of the pod; it is empty if unknown.
	Namespace string
	// Address is the address where metrics are scraped, such as ":9464"; without it they
	// are not.
	Address string
	// OTel is the OTLP configuration, as [config.Load] completes it. Its zero value sends
	// nothing.
	OTel config.OTel
	// Log is the log for lost data; [slog.Default] if it is nil.
	Log *slog.Logger
	// firstPause is the constant of that name; tests change it.
	firstPause time.Duration
}

// Telemetry counts and records. Make it with [Start].
type Telemetry struct {
	meter    metric.Meter
	tracer   trace.Tracer
	failures *failures
	// flushes send the remaining data and end the SDK's goroutines.
	flushes []func(context.Context) error
	senders []*sender
	scraped *scraped
	// end ends running posts.
	end func()
}

// Start starts what the options ask for; without an address and endpoints that is
// nothing. Its error names the variable that is wrong. The context is used only during
// the start.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	t := &Telemetry{
		meter:  noopmetric.NewMeterProvider().Meter(scope),
		tracer: nooptrace.NewTracerProvider().Tracer(scope),
		end:    func() {},
	}
	if o.Address == "" && o.OTel.MetricsEndpoint == "" && o.OTel.TracesEndpoint == "" {
		return t, nil
	}
	o.Version = cmp.Or(o.Version, Version())
	t.failures = &failures{log: cmp.Or(o.Log, slog.Default()), now: time.Now, kinds: map[string]*failure{}}
	// The SDKs report errors in their goroutines only to this handler.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(t.failures.of("sdk")))
	if err := t.start(ctx, o); err != nil {
		_ = t.Stop(ctx) // The start's own error matters more.
		return nil, err
	}
	return t, nil
}

func (t *Telemetry) start(ctx context.Context, o Options) error {
	client, err := newClient(o.OTel)
	if err != nil {
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	t.end = func() {
		end()
		client.CloseIdleConnections()
	}
	sending := func(signal, url string) *sender {
		s := newSender(life, url, o, client, t.failures.of(signal))
		t.senders = append(t.senders, s)
		return s
	}
	who := identity(o)
	options := []sdk.Option{sdk.WithResource(who)}
	if o.Address != "" {
		reader := sdk.NewManualReader()
		if t.scraped, err = scrape(ctx, o.Address, reader, t.failures.of("scrape")); err != nil {
			return err
		}
		options = append(options, sdk.WithReader(reader))
	}
	if url := o.OTel.MetricsEndpoint; url != "" {
		exporter := metricExporter{sending("metrics", url), temporality(o.OTel.Temporality)}
		options = append(options, sdk.WithReader(sdk.NewPeriodicReader(exporter,
			sdk.WithInterval(time.Duration(o.OTel.MetricInterval)))))
	}
	if len(options) > 1 {
		provider := sdk.NewMeterProvider(options...)
		t.flushes = append(t.flushes, provider.Shutdown)
		t.meter = provider.Meter(scope, metric.WithInstrumentationVersion(o.Version))
		if err := t.describe(o.Version); err != nil {
			return fmt.Errorf("making metrics: %w", err)
		}
	}
	if url := o.OTel.TracesEndpoint; url != "" {
		provider := sdktrace.NewTracerProvider(sdktrace.WithResource(who), sdktrace.WithSampler(sampler(o.OTel)),
			sdktrace.WithBatcher(spanExporter{sending("traces", url)}))
		t.flushes = append(t.flushes, provider.Shutdown)
		t.tracer = provider.Tracer(scope, trace.WithInstrumentationVersion(o.Version))
	}
	return nil
}

// describe makes the metrics about the process.
func (t *Telemetry) describe(version string) error {
	build := metric.WithAttributes(attribute.String("version", version), attribute.String("go_version", runtime.Version()))
	_, err := t.meter.Int64ObservableGauge("onefire.build.info", metric.WithDescription("The version that runs; its value is 1."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(1, build)
			return nil
		}))
	if err != nil {
		return err
	}
	_, err = t.meter.Int64ObservableCounter("onefire.telemetry.failures",
		metric.WithDescription("What could not be sent or collected, by kind: traces, metrics (exports), scrape, sdk."),
		metric.WithInt64Callback(t.failures.observe))
	return err
}

// Meter makes instruments. They count nothing if metrics are neither scraped nor sent.
func (t *Telemetry) Meter() metric.Meter { return t.meter }

// Tracer makes spans. They record nothing if traces are not sent.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracer }

// Stop sends the remaining data, within the context's deadline and 5 s, and ends
// everything that was started. It logs data that cannot be sent, and returns no error for
// that.
func (t *Telemetry) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	var flushing sync.WaitGroup
	for _, flush := range t.flushes {
		flushing.Go(func() {
			if err := flush(ctx); err != nil {
				t.failures.of("sdk")(err)
			}
		})
	}
	flushing.Wait()
	t.end()
	for _, s := range t.senders {
		<-s.ended
	}
	var err error
	if t.scraped != nil {
		err = t.scraped.stop(ctx)
	}
	if t.failures != nil {
		t.failures.end()
	}
	return err
}

func temporality(t config.Temporality) sdk.TemporalitySelector {
	switch t {
	case config.TemporalityDelta:
		return sdk.DeltaTemporalitySelector
	case config.TemporalityLowMemory:
		return sdk.LowMemoryTemporalitySelector
	}
	return sdk.CumulativeTemporalitySelector
}

func sampler(o config.OTel) sdktrace.Sampler {
	switch o.Sampler {
	case config.SamplerAlwaysOn:
		return sdktrace.AlwaysSample()
	case config.SamplerAlwaysOff:
		return sdktrace.NeverSample()
	case config.SamplerRatio:
		return sdktrace.TraceIDRatioBased(o.SamplerRatio)
	case config.SamplerParentAlwaysOff:
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case config.SamplerParentRatio:
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.SamplerRatio))
	}
	return sdktrace.ParentBased(sdktrace.AlwaysSample())
}
