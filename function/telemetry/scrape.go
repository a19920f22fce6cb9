package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// scraped serves the metrics of a reader at /metrics.
type scraped struct {
	server *http.Server
	ended  chan struct{}
}

func scrape(ctx context.Context, address string, reader sdk.Reader, failed func(error)) (*scraped, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("METRICS_ADDRESS: %w", err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		var metrics metricdata.ResourceMetrics
		if err := reader.Collect(r.Context(), &metrics); err != nil {
			if errors.Is(err, sdk.ErrReaderShutdown) || r.Context().Err() != nil {
				// The process is stopping, or the scraper has gone.
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			failed(err)
			// An instrument without a value does not hide the others.
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(text(metrics)) // A scraper that hung up scrapes again.
	})
	s := &scraped{
		server: &http.Server{Handler: routes, ReadTimeout: scrapeTimeout, WriteTimeout: scrapeTimeout},
		ended:  make(chan struct{}),
	}
	go func() {
		defer close(s.ended)
		_ = s.server.Serve(listener) // Serve returns after Shutdown.
	}()
	return s, nil
}

func (s *scraped) stop(ctx context.Context) error {
	err := errors.Join(s.server.Shutdown(ctx), s.server.Close())
	<-s.ended
	return err
}
