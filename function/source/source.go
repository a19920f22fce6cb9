package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"onefire/config"
	"onefire/function/receive"
	"onefire/function/telemetry"
)

// webhookPath is the URL path to which Alertmanager posts.
const webhookPath = "/alertmanager"

// Source receives webhooks. Make it with [New].
type Source struct {
	config    config.Source
	log       *slog.Logger
	now       func() time.Time
	auth      *auth
	memory    *memory
	telemetry *telemetry.Telemetry
	metrics   *metrics
	tracer    trace.Tracer // nil if nothing is traced
	sink      *sink
	server    *http.Server
	stopping  atomic.Bool
	// bodies bounds the webhooks that arrive and their bytes, requests the webhooks that
	// are delivered, and slots the events that are sent, by their size.
	bodies          *receive.Bodies
	requests, slots *semaphore.Weighted
	// refusals limits the log lines about webhooks that were not accepted, by status.
	// unreadable limits those about secrets that cannot be read.
	refusals   sync.Map
	unreadable receive.LogLimit
}

// New makes a source that logs to w. The sink need not be reachable: while it is down,
// webhooks are answered 503.
func New(ctx context.Context, c config.Source, w io.Writer) (*Source, error) {
	s := &Source{
		config:   c,
		log:      slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: c.LogLevel})),
		now:      time.Now,
		auth:     newAuth(c.TokenFile, c.BasicFile, time.Now),
		memory:   newMemory(c.Window),
		requests: semaphore.NewWeighted(maxRequests),
		bodies:   receive.NewBodies(maxArriving, maxBodies),
		slots:    semaphore.NewWeighted(maxSlots),
	}
	for _, sec := range []*secret{s.auth.token, s.auth.basic} {
		if sec == nil {
			continue
		}
		if _, err := sec.read(); err != nil {
			return nil, err
		}
	}
	var err error
	if s.sink, err = newSink(c); err != nil {
		return nil, err
	}
	s.server = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTimeout,
		// A webhook's body and its delivery have deadlines of their own.
		ReadTimeout:    headerTimeout + receive.BodyTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if c.CertFile != "" {
		certificate, err := newCertificate(c.CertFile, c.KeyFile, time.Now, s.log)
		if err != nil {
			return nil, err
		}
		s.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.get}
	}
	if s.telemetry, err = telemetry.Start(ctx, telemetry.Options{
		Service: "onefire-source", Namespace: c.PodNamespace, Address: c.MetricsAddress, OTel: c.OTel, Log: s.log,
	}); err != nil {
		return nil, err
	}
	s.tracer = telemetry.LiveTracer(s.telemetry.Tracer())
	s.metrics = newMetrics(s.telemetry.Meter())
	return s, nil
}

func (s *Source) routes() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc(webhookPath, s.serveWebhook)
	// A Prometheus that has this source as its Alertmanager posts here. The answer says
	// that this is wrong.
	routes.HandleFunc("/api/v2/alerts", s.serveWebhook)
	routes.HandleFunc("GET /health/liveness", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ALIVE") })
	routes.HandleFunc("GET /health/readiness", func(w http.ResponseWriter, _ *http.Request) {
		// A sink that is down does not make a replica unready: otherwise no replica would
		// be left to tell Alertmanager the reason.
		if s.stopping.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "stopping\n")
			return
		}
		fmt.Fprint(w, "READY")
	})
	return routes
}

// Serve serves a listener until [Source.Stop] is called; then it returns nil.
func (s *Source) Serve(listener net.Listener) error {
	s.log.Info("started", "version", telemetry.Version(), "address", listener.Addr().String(), "sink", config.Redacted(s.config.Sink), "split", s.config.Split,
		"window", s.config.Window.String(), "delivery_timeout", s.config.DeliveryTimeout.String(), "tls", s.config.CertFile != "")
	serve := s.server.Serve
	if s.server.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.server.ServeTLS(l, "", "") }
	}
	if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

// Stop rejects new webhooks, waits until the running ones are answered or the context
// ends, and closes all connections. Alertmanager resends a webhook whose delivery was cut
// off.
func (s *Source) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("stopping while webhooks are being delivered: %w", err)
		s.server.Close()
	}
	err = errors.Join(err, s.telemetry.Stop(context.WithoutCancel(ctx)))
	s.sink.client.Close()
	s.log.Info("stopped")
	return err
}
