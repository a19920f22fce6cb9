package deadletters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"onefire/config"
	"onefire/dedup/client"
	"onefire/function/receive"
	"onefire/function/telemetry"
)

func open(c config.DeadLetters) (*api, error) {
	config, err := client.Load(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	return connect(config, c.Namespace)
}

// Serve keeps dead letters until the context ends. It then answers the running requests
// and returns. It writes a JSON log to logs.
func Serve(ctx context.Context, c config.DeadLetters, logs io.Writer) error {
	log := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: c.LogLevel}))
	a, err := open(c)
	if err != nil {
		return err
	}
	receive.Memory{Told: c.MemoryLimit}.Tune()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.ListenAddress)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDRESS: %w", err)
	}
	return serve(ctx, c, a, listener, log)
}

// serve keeps the dead letters that come to a listener, and closes it.
func serve(ctx context.Context, c config.DeadLetters, a *api, listener net.Listener, log *slog.Logger) error {
	watch, err := telemetry.Start(ctx, telemetry.Options{
		Service: "onefire-deadletters", Namespace: c.PodNamespace, Address: c.MetricsAddress, OTel: c.OTel, Log: log,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	s := newStore(a, usage{letters: c.Max, bytes: c.MaxBytes}, log)
	if s.metrics, err = newMetrics(watch.Meter(), s.quota.waiting); err != nil {
		return errors.Join(err, listener.Close(), watch.Stop(ctx))
	}
	server := &http.Server{
		Handler: routes(s), MaxHeaderBytes: maxHeaders, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("started", "version", telemetry.Version(), "address", listener.Addr().String(), "namespace", c.Namespace, "max", c.Max, "max_bytes", c.MaxBytes)
	select {
	case err = <-served:
		err = fmt.Errorf("serving on %s: %w", c.ListenAddress, err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = errors.Join(err, server.Shutdown(ctx), s.receiver.Close(ctx), watch.Stop(ctx))
	log.Info("stopped")
	return err
}

// routes are the same as those of a Knative function: events at /, and the health beside
// it.
func routes(s *store) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s)
	mux.HandleFunc("GET /health/liveness", func(w http.ResponseWriter, _ *http.Request) { health(w, s.alive(), "ALIVE") })
	mux.HandleFunc("GET /health/readiness", func(w http.ResponseWriter, r *http.Request) { health(w, s.ready(r.Context()), "READY") })
	return mux
}

func health(w http.ResponseWriter, ok bool, yes string) {
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "NOT "+yes)
		return
	}
	fmt.Fprintln(w, yes)
}
