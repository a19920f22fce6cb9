// Command onefire-datastorage serves a DataStorage for clusters that have none:
// it checks, keeps and gives back audit events (see onefire/test/datastorage).
//
// It reads LISTEN_ADDRESS (:8080), DATABASE (/data/datastorage.db, in a folder
// that can be written), AUDIT_SCHEMA (2026-08), TOKEN (the bearer token to ask
// for; none when empty) and RATE_LIMIT (50, the requests that an address may make
// each second; a negative one turns the limit off), and answers GET /healthz.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"onefire/mapping"
	"onefire/test/datastorage"
)

const (
	// readTimeout bounds how long one request may take to arrive.
	readTimeout = 30 * time.Second
	// stopTimeout bounds how long requests under way may go on.
	stopTimeout = 10 * time.Second
)

type settings struct {
	Listen   string         `env:"LISTEN_ADDRESS" envDefault:":8080"`
	Database string         `env:"DATABASE" envDefault:"/data/datastorage.db"`
	Schema   mapping.Schema `env:"AUDIT_SCHEMA" envDefault:"2026-08"`
	Token    string         `env:"TOKEN"`
	Rate     float64        `env:"RATE_LIMIT"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "onefire-datastorage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, err := env.ParseAs[settings]()
	if err != nil {
		return fmt.Errorf("reading the environment: %w", err)
	}
	//nolint:contextcheck // Opening a local file needs no deadline.
	data, err := datastorage.Open(datastorage.Options{Path: s.Database, Schema: s.Schema, Token: s.Token, Rate: s.Rate})
	if err != nil {
		return err
	}
	defer data.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDRESS: %w", err)
	}
	server := &http.Server{Handler: data, ReadTimeout: readTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Println("listening on", listener.Addr())
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
