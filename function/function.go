// Package function is Onefire as a function: it takes CloudEvents over HTTP,
// settles their alerts and answers.
//
// An event is answered 2xx only when all of its effects are in place: the
// objects, their counts and the audit events. Anything less is a 503, and the
// event's redelivery finishes the work. Each request is handled in its own
// goroutine and its event is finished even when the client hangs up, within a
// deadline. Nothing is acknowledged that is not done. One thing may outlive the
// deadline: a post of audit events that is under way ([audit.Sink]).
//
// The same [Function] serves under Knative's func middleware and under the
// Functions Framework.
package function

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/audit"
	"onefire/config"
	"onefire/dedup"
	"onefire/function/events"
	"onefire/function/inbound"
	"onefire/function/telemetry"
	"onefire/function/tracing"
	"onefire/mapping"
)

// deduplicator is what a function needs of [dedup.Deduplicator].
type deduplicator interface {
	Settle(ctx context.Context, s mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]dedup.Outcome, error)
	Resolve(ctx context.Context, signals []mapping.Signal) ([]dedup.Outcome, error)
	Recall(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error)
	Forecast(ctx context.Context, s mapping.Signal, key string, resolved bool) (dedup.Outcome, error)
	Ready(ctx context.Context, namespace string) error
	Close()
}

// sink is what a function needs of [audit.Sink].
type sink interface {
	Deliver(ctx context.Context, events []audit.Event) []error
	Send(ctx context.Context, events []audit.Event) (wait func() []error)
	Ready(ctx context.Context) error
	Close()
}

// parts are what a started function works with.
type parts struct {
	config config.Config
	rules  mapping.Rules
	dedup  deduplicator
	// owners is nil unless TARGET=owner.
	owners owners
	// scopes is nil unless SCOPE is set.
	scopes scopes
	// sink is nil with AUDIT_SINK=none.
	sink      sink
	senders   senders
	log       *slog.Logger
	telemetry *telemetry.Telemetry
	metrics   *metrics
	// tracer is nil when nothing is traced.
	tracer trace.Tracer
	now    func() time.Time
	// places bounds the goroutines that settle alerts of large events.
	places *semaphore.Weighted
	// events is nil where there are none; self is what those without an object
	// of their own are on, empty where it is not known.
	events *events.Recorder
	self   events.Object
	// refusals are of those who may not send, faults of those who cannot be
	// told.
	refusals, faults inbound.Lines
	// late bounds the deliveries of audit events that no answer waits for, and losses
	// are of those that failed.
	late   *semaphore.Weighted
	losses inbound.Lines
	// history tells of fingerprints with a long past.
	history history
	// warned is done once the log has said that admission changes what is created.
	warned sync.Once
	// cool ends the warming up; nil when there is none.
	cool func()
}

// Function receives events. Its zero value is not usable; see [New].
type Function struct {
	parts    atomic.Pointer[parts]
	receiver *inbound.Receiver
	ready    probe
}

// New makes a function that answers 503 until it is started.
func New() *Function {
	f := &Function{receiver: inbound.New(bounds)}
	f.receiver.Answered = func(ctx context.Context, status int, took time.Duration) {
		if p := f.parts.Load(); p != nil {
			p.metrics.request(ctx, status, took)
		}
	}
	f.receiver.Admit = func(ctx context.Context, w http.ResponseWriter, r *http.Request) *inbound.Answer {
		return f.parts.Load().admit(ctx, w, r)
	}
	return f
}

// Start configures the function from an environment. It returns at once; its
// error names every variable that is wrong.
func (f *Function) Start(ctx context.Context, environment map[string]string) error {
	c, err := config.Load(environment)
	if err != nil {
		return err
	}
	return f.StartWith(ctx, c)
}

// StartWith is Start for a host that has loaded the configuration itself.
func (f *Function) StartWith(ctx context.Context, c config.Config) error {
	log := logger(os.Stderr, c.LogLevel)
	p, err := assemble(ctx, c, log)
	if err != nil {
		return err
	}
	tuneMemory(c.MemoryLimit, memlimit.FromCgroup)
	p.cool = f.warm(ctx, p)
	f.parts.Store(p)
	if p.sink == nil {
		log.Info("no decision is audited: AUDIT_SINK is " + config.NoAudit)
	}
	log.Info("started", "version", telemetry.Version(), "placement", c.Placement, "namespace", c.Namespace, "fingerprint", c.Fingerprint, "target", c.Target, "targets_version", mapping.TargetsVersion,
		"scope", c.Scope.String(), "severity", c.Severity, "severity_map", c.Severities.String(), "max_event_age", c.MaxEventAge.String(), "audit_schema", c.AuditSchema, "audit_mode", c.AuditMode, "reply", c.Reply)
	return nil
}

func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

func assemble(ctx context.Context, c config.Config, log *slog.Logger) (*parts, error) {
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
	watch := &calls{log: log}
	client.Wrap(watch.wrap)
	var p *parts
	//nolint:contextcheck // Counters take a context, and have no use for one here.
	d, err := dedup.New(client, dedup.Options{
		SignalType:   c.AuditSchema.SignalType(),
		HistoryLimit: c.HistoryLimit,
		Deleted:      func(namespace, name string) { p.outdated(namespace, name) },
		LongPast:     func(past dedup.LongPast) { p.longPast(past) },
		Altered:      func(namespace, name string, changed []string) { p.altered(namespace, name, changed) },
	})
	if err != nil {
		return nil, err
	}
	o, in, err := newOwners(client, c)
	if err != nil {
		return nil, err
	}
	s, err := newSink(c)
	if err != nil {
		return nil, err
	}
	who, err := newSenders(client, c)
	if err != nil {
		return nil, err
	}
	t, err := telemetry.Start(ctx, telemetry.Options{
		Service: "onefire", Namespace: c.PodNamespace, Address: c.MetricsAddress, OTel: c.OTel, Log: log,
	})
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(t.Meter())
	if err != nil {
		return nil, errors.Join(err, t.Stop(ctx))
	}
	watch.tracer, watch.metrics = tracing.Live(t.Tracer()), m
	p = &parts{
		config:    c,
		rules:     c.Rules(),
		dedup:     d,
		owners:    o,
		scopes:    in,
		sink:      s,
		senders:   who,
		log:       log,
		telemetry: t,
		metrics:   m,
		tracer:    watch.tracer,
		now:       time.Now,
		places:    semaphore.NewWeighted(maxPlaces),
		late:      semaphore.NewWeighted(maxLate),
	}
	if c.KubernetesEvents == config.On {
		p.events = events.New(client, instance(), log, m.event)
		p.self = self(c, kube)
	}
	return p, nil
}

// Stop waits until every request under way is answered and every audit event that
// no answer waited for is delivered or lost, or the context ends, and then, for ten
// seconds at most, for posts of audit events; it lets go of connections. Requests that come later are answered 503.
func (f *Function) Stop(ctx context.Context) error {
	err := f.receiver.Close(ctx)
	if p := f.parts.Load(); p != nil {
		err = errors.Join(err, p.finishLate(ctx))
		if p.cool != nil {
			p.cool()
		}
		p.dedup.Close()
		p.events.Close(ctx)
		err = errors.Join(err, p.telemetry.Stop(ctx))
		if p.sink != nil {
			p.sink.Close() // It ends what is late even then.
		}
		p.log.Info("stopped")
	}
	return err
}

// Ready tells whether the API server and, if it is required, the audit sink can be reached. Why not
// is in the log.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	p := f.parts.Load()
	if p == nil {
		return false, nil
	}
	return f.ready.ask(func() bool { return p.reachable(context.WithoutCancel(ctx)) }), nil
}

// Alive tells whether no request is stuck.
func (f *Function) Alive(context.Context) (bool, error) {
	return f.receiver.Oldest() < stuckAfter, nil
}

// Handle is the function's signature under func.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) { f.ServeHTTP(w, r) }
