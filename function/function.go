// Package function is Onefire as a function: it takes CloudEvents over HTTP,
// settles their alerts and answers. event.go is the way of an event.
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

// service is a started function: who may send, what becomes of an event, and what of
// it is seen.
type service struct {
	admission admission
	pipeline  *pipeline
	observer  *observer
	telemetry *telemetry.Telemetry
	// namespace is the one that REMEDIATION_NAMESPACE configures.
	namespace string
	// cool ends the warming up; nil when there is none.
	cool func()
}

// New makes a function that answers 503 until it is started.
func New() *Function {
	f := &Function{receiver: receive.New(bounds)}
	f.receiver.Answered = func(ctx context.Context, status int, took time.Duration) {
		if s := f.service.Load(); s != nil {
			s.observer.request(ctx, status, took)
		}
	}
	f.receiver.Admit = func(ctx context.Context, w http.ResponseWriter, r *http.Request) *receive.Answer {
		return f.service.Load().admission.admit(ctx, w, r)
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
	s, err := newService(ctx, c, log)
	if err != nil {
		return err
	}
	receive.Memory{Told: c.MemoryLimit, Otherwise: memoryLimit, GCPercent: gcPercent}.Tune()
	s.cool = f.warm(ctx, s)
	f.service.Store(s)
	if s.pipeline.audit.sink == nil {
		log.Info("no decision is audited: AUDIT_SINK is " + config.NoAudit)
	}
	log.Info("started", "version", telemetry.Version(), "placement", c.Placement, "namespace", c.Namespace, "fingerprint", c.Fingerprint, "target", c.Target, "targets_version", mapping.TargetsVersion,
		"scope", c.Scope.String(), "severity", c.Severity, "severity_map", c.Severities.String(), "max_event_age", c.MaxEventAge.String(), "brake", c.Brake, "audit_schema", c.AuditSchema, "audit_mode", c.AuditMode, "reply", c.Reply)
	return nil
}

func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// Stop waits until every request under way is answered and every audit event that
// no answer waited for is delivered or lost, or the context ends, and then, for ten
// seconds at most, for posts of audit events; it lets go of connections. Requests that come later are answered 503.
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
		s.pipeline.audit.sink.Close() // It ends what is late even then.
	}
	s.observer.log.Info("stopped")
	return err
}

// Ready tells whether the API server and, if it is required, the audit sink can be reached. Why not
// is in the log.
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

// Handle is the function's signature under func.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) { f.ServeHTTP(w, r) }
