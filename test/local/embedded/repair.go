package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"onefire/test/restarter"
)

// repair runs the example of a controller. stop ends it, and waits for its end.
func repair(ctx context.Context, config *rest.Config) (stop func(), err error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the restarter: %w", err)
	}
	o := restarter.Defaults()
	o.Log = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	r, err := restarter.New(client, o)
	if err != nil {
		return nil, fmt.Errorf("starting the restarter: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}, nil
}
