package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"onefire/mapping"
	"onefire/test/child"
	"onefire/test/datastorage"
)

// ServeSink takes audit events at an address until the context ends. It keeps
// none, because what DataStorage costs is not the function's; or, if database is
// not empty, it is a DataStorage with that file and without a limit of requests.
func ServeSink(ctx context.Context, address, database string) error {
	handler := http.Handler(http.HandlerFunc(take))
	if database != "" {
		//nolint:contextcheck // Opening a local file needs no deadline.
		data, err := datastorage.Open(datastorage.Options{Path: database, Schema: mapping.Schema202608, Rate: -1})
		if err != nil {
			return err
		}
		defer data.Close()
		handler = data
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for audit events: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: callTimeout}
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
	fmt.Fprint(w, `{"data":[]}`) // It has none, whatever is asked.
}

// startSink starts a sink as a process of its own from this very binary.
func startSink(ctx context.Context, dir, self string, keeps bool) (p *process, url string, err error) {
	address, err := child.Address(ctx)
	if err != nil {
		return nil, "", err
	}
	args := []string{"sink", address}
	if keeps {
		args = append(args, filepath.Join(dir, "audit.db"))
	}
	if p, err = start(dir, "sink", nil, self, args...); err != nil {
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
	return p, "http://" + address + datastorage.AuditPath, nil
}
