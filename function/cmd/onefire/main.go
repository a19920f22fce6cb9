// Command onefire runs the function with the Functions Framework. With arguments it is
// the onefire CLI: it explains what the function would do, lists requests, or deletes
// what is old.
//
// On SIGTERM or SIGINT it finishes the running requests, within 30 s, and exits.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"

	"onefire/config"
	"onefire/function"
	"onefire/function/cmd"
)

// stopTimeout is a little more than the longest time of a request, 29 s.
const stopTimeout = 30 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	if len(os.Args) > 1 {
		code := cmd.Main(ctx, os.Args[1:], config.Environment(), cmd.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
		stop()
		os.Exit(code)
	}
	err := run(ctx)
	stop()
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	c, err := config.Load(config.Environment())
	if err != nil {
		return err
	}
	f := function.New()
	if err := f.StartWith(ctx, c); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(c.ListenAddress)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDRESS: %w", err)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // The framework joins host and port with a colon.
	}
	if err := register(ctx, f); err != nil {
		return err
	}
	// The framework cannot stop its server, which ends with the process.
	served := make(chan error, 1)
	go func() { served <- funcframework.StartHostPort(host, port) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving on %s: %w", c.ListenAddress, err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return f.Stop(ctx)
}

// register makes the framework serve the function at /, and its health beside it, with
// the paths and answers of func's middleware.
func register(ctx context.Context, f *function.Function) error {
	// With a target the framework would serve nothing else. With a service name it would
	// log an empty line for each request.
	for _, name := range []string{"FUNCTION_TARGET", "K_SERVICE"} {
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("unsetting %s: %w", name, err)
		}
	}
	for path, handler := range map[string]http.HandlerFunc{
		"/":                 f.ServeHTTP,
		"/health/readiness": health(f.Ready, "READY", "function not yet ready\n"),
		"/health/liveness":  health(f.Alive, "ALIVE", "function not alive"),
	} {
		if err := funcframework.RegisterHTTPFunctionContext(ctx, path, handler); err != nil {
			return fmt.Errorf("registering %s: %w", path, err)
		}
	}
	return nil
}

func health(check func(context.Context) (bool, error), yes, no string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if ok, err := check(r.Context()); err != nil || !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, no)
			return
		}
		fmt.Fprint(w, yes)
	}
}
