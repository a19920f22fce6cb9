// Package function is the Onefire function: it receives CloudEvents over HTTP, settles
// their alerts, and answers. event.go shows the steps of an event.
//
// An event is answered 2xx only when all of its effects are in place: the objects, their
// counts and the audit events. Otherwise it is answered 503, and its redelivery finishes
// the work. Each request is handled in its own goroutine. Its event is finished within a
// deadline, even if the client hangs up. Only one thing can outlive the deadline: a
// running post of audit events ([audit.Sink]).
//
// The same [Function] runs under Knative's func middleware and under the Functions
// Framework.
package function

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"onefire/config"
	"onefire/function/receive"
	"onefire/function/telemetry"
	"onefire/mapping"
)

// Function receives events. Its zero value is not usable; see [New].
type Function struct {
	service  atomic.Pointer[service]
	receiver *receive.Receiver
	ready    probe
}

// service is a started function: who may send, the steps of an event, and the telemetry.
type service struct {
	admission admission
	pipeline  *pipeline
	observer  *observer
	telemetry *telemetry.Telemetry
	// namespace is the value of REMEDIATION_NAMESPACE.
	namespace string
	// cool ends the warm-up; it is nil if there is none.
	cool func()
}

// New makes a function that answers 503 until it is started.
func New() *Function {
	f := &Function{receiver: receive.New(bounds)}
	f.receiver.Answered = func(ctx context.Context, status int, took time.Duration) {
		f.service.Load().observer.request(ctx, status, took)
	}
	f.receiver.Admit = func(ctx context.Context, w http.ResponseWriter, r *http.Request) *receive.Answer {
		return f.service.Load().admission.admit(ctx, w, r)
	}
	return f
}

// Start configures the function from an environment and returns at once. Its error names
// every variable that is wrong.
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
	s, err := newService(ctx, c, log)
	if err != nil {
		return err
	}
	receive.Memory{Told: c.MemoryLimit, Otherwise: memoryLimit, GCPercent: gcPercent}.Tune()
	s.cool = f.warm(ctx, s)
	f.service.Store(s)
	if s.pipeline.audit.sink == nil {
		log.Info("decisions are not audited: AUDIT_SINK is " + config.NoAudit)
	}
	log.Info("started", "version", telemetry.Version(), "placement", c.Placement, "namespace", c.Namespace, "fingerprint", c.Fingerprint, "target", c.Target, "targets_version", mapping.TargetsVersion,
		"scope", c.Scope.String(), "severity", c.Severity, "severity_map", c.Severities.String(), "max_event_age", c.MaxEventAge.String(), "brake", c.Brake, "audit_schema", c.AuditSchema, "audit_mode", c.AuditMode, "reply", c.Reply)
	return nil
}

func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// Stop rejects new requests with 503. It waits until every running request is answered,
// and until every audit event in the background is delivered or lost, or the context
// ends. It then waits at most ten seconds for running posts of audit events, and closes
// all connections except those to the API server, which end with the process.
func (f *Function) Stop(ctx context.Context) error {
	err := f.receiver.Close(ctx)
	if s := f.service.Load(); s != nil {
		err = errors.Join(err, s.stop(ctx))
	}
	return err
}

func (s *service) stop(ctx context.Context) error {
	err := s.pipeline.audit.finish(ctx)
	if s.cool != nil {
		s.cool()
	}
	s.pipeline.requests.Close()
	s.observer.events.Close(ctx)
	err = errors.Join(err, s.telemetry.Stop(ctx))
	if s.pipeline.audit.sink != nil {
		s.pipeline.audit.sink.Close() // This also ends the deliveries in the background.
	}
	s.observer.log.Info("stopped")
	return err
}

// Ready tells whether the API server can be reached, and the audit sink if it is
// required. The log says why not.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	s := f.service.Load()
	if s == nil {
		return false, nil
	}
	return f.ready.ask(func() bool { return s.reachable(context.WithoutCancel(ctx)) }), nil
}

// Alive tells whether no request is stuck.
func (f *Function) Alive(context.Context) (bool, error) {
	return f.receiver.Oldest() < stuckAfter, nil
}

// Handle is ServeHTTP under the name that func's middleware calls.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) { f.ServeHTTP(w, r) }
