package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// ServeSink takes audit events at an address until the context ends, and keeps
// none: what DataStorage costs is not the function's.
func ServeSink(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for audit events: %w", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(take), ReadHeaderTimeout: callTimeout}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the sink: %w", err)
	}
	return nil
}

func take(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
	}
	fmt.Fprint(w, "{}")
}

// startSink starts a sink as a process of its own from this very binary.
func startSink(ctx context.Context, dir, self string) (p *process, url string, err error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, "", err
	}
	if p, err = start(dir, "sink", nil, self, "sink", address); err != nil {
		return nil, "", err
	}
	err = p.await(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("connecting to the sink: %w", err)
		}
		return conn.Close()
	})
	if err != nil {
		return nil, "", errors.Join(err, p.stop())
	}
	return p, "http://" + address, nil
}
