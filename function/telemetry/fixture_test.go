package telemetry

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onefire/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// request is one export as it came.
type request struct {
	path   string
	header http.Header
	body   map[string]any
}

// collector takes exports and keeps them.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
	answer   http.HandlerFunc
}

// newCollector makes one that answers as given; 200 when that is nil.
func newCollector(t *testing.T, answer http.HandlerFunc) *collector {
	c := &collector{answer: answer}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var unpacked io.Reader
		if unpacked, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(unpacked)
		}
	}
	one := request{path: r.URL.Path, header: r.Header}
	if err == nil {
		err = json.Unmarshal(body, &one.body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.requests = append(c.requests, one)
	answer := c.answer
	c.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
}

func (c *collector) got() []request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// log is what was logged.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// options are those of a service that sends all it has to a collector.
func options(url string) (Options, *log) {
	l := &log{}
	return Options{
		Service: "onefire", Version: "v1.2.3", Namespace: "ops", Log: slog.New(slog.NewJSONHandler(l, nil)),
		OTel: config.OTel{
			PodName: "onefire-1", TracesEndpoint: url + "/v1/traces", MetricsEndpoint: url + "/v1/metrics",
			Timeout: config.Milliseconds(10 * time.Second), MetricInterval: config.Milliseconds(time.Hour),
		},
	}, l
}

// start starts telemetry whose retries come at once.
func start(t *testing.T, o Options) *Telemetry {
	t.Helper()
	o.firstPause = time.Millisecond
	all, err := Start(t.Context(), o)
	require.NoError(t, err)
	return all
}

// get asks an address for a path.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

// lines are those of a log.
func lines(l *log) []string { return strings.Split(strings.TrimSpace(l.String()), "\n") }
