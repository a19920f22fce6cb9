package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"
)

// scraping is a service whose first scrape closes asked, and waits until release is closed
// or the scraper has gone.
func scraping(t *testing.T) (all *Telemetry, url string, asked, release chan struct{}) {
	t.Helper()
	asked, release = make(chan struct{}), make(chan struct{})
	var again atomic.Bool
	o, _ := options("")
	address := freeAddress(t)
	all = start(t, Options{Service: "onefire", Address: address, Log: o.Log})
	_, err := all.Meter().Int64ObservableGauge("onefire.slow", metric.WithInt64Callback(func(ctx context.Context, _ metric.Int64Observer) error {
		if again.Swap(true) {
			return nil
		}
		close(asked)
		select {
		case <-ctx.Done():
		case <-release:
		}
		return ctx.Err()
	}))
	require.NoError(t, err)
	return all, "http://" + address + "/metrics", asked, release
}

func TestAScraperThatHangsUpIsNoLoss(t *testing.T) {
	all, url, asked, _ := scraping(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
	_, body := get(t, url)
	require.NotContains(t, body, "failures")
	require.NoError(t, all.Stop(t.Context()))
}

func TestAScrapeThatHangsHoldsUpNoStop(t *testing.T) {
	all, url, asked, release := scraping(t)
	answered := make(chan int, 1)
	go func() {
		status, _ := get(t, url)
		answered <- status
	}()
	<-asked
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, all.Stop(ctx), context.DeadlineExceeded)
	require.Zero(t, <-answered, "the connection is closed")
}

func TestAScrapeIsPrometheussTextFormat(t *testing.T) {
	address := freeAddress(t)
	all := start(t, Options{Service: "onefire", Address: address})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	require.NoError(t, err)
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Contains(t, string(body), `version="`+Version()+`"`, "without another version it is that of the build")
	require.NoError(t, all.Stop(t.Context()))
}

func TestAnErrorOfTheSDKIsCounted(t *testing.T) {
	o, logged := options("")
	address := freeAddress(t)
	all := start(t, Options{Service: "onefire", Address: address, Log: o.Log})
	otel.Handle(errors.New("something is wrong"))
	all.failures.of("traces")(errors.New("away"))
	_, body := get(t, "http://"+address+"/metrics")
	for _, kind := range []string{"sdk", "traces"} {
		require.Contains(t, body, `onefire_telemetry_failures_total{kind="`+kind+`"} 1`)
	}
	require.Contains(t, logged.String(), `"kind":"sdk","times":1,"error":"something is wrong"`)
	require.NoError(t, all.Stop(t.Context()))
}

func TestWithTracesAloneNothingIsCountedOrServed(t *testing.T) {
	c := newCollector(t, nil)
	before := goleak.IgnoreCurrent()
	o, _ := options(c.URL)
	o.OTel.MetricsEndpoint = ""
	all := start(t, o)
	require.IsType(t, noopmetric.Meter{}, all.Meter())
	require.Nil(t, all.scraped)
	_, span := all.Tracer().Start(t.Context(), "settle")
	span.End()
	require.NoError(t, all.Stop(t.Context()))
	require.Len(t, c.got(), 1)
	goleak.VerifyNone(t, before) // The connection to the collector is closed, too.
}
