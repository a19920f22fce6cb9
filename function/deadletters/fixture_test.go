package deadletters

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"
	"k8s.io/client-go/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logs is a log that a test reads.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// config is that of a client whose connections end with the test.
func (k *kube) config(t *testing.T) *rest.Config {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &rest.Config{Host: k.URL, Transport: transport}
}

func (k *kube) api(t *testing.T) *api {
	t.Helper()
	a, err := connect(k.config(t), namespace)
	require.NoError(t, err)
	return a
}

// fixture is a store on an API server of its own.
type fixture struct {
	*store
	kube *kube
	logs *logs
}

func fix(t *testing.T) *fixture {
	t.Helper()
	k, l := startKube(t), &logs{}
	s := newStore(k.api(t), usage{letters: 1000, bytes: 64 << 20}, slog.New(slog.NewJSONHandler(l, nil)))
	var err error
	s.metrics, err = newMetrics(noop.NewMeterProvider().Meter(""), s.quota.waiting)
	require.NoError(t, err)
	return &fixture{store: s, kube: k, logs: l}
}

// send posts a dead letter as a Broker does, in binary mode.
func (f *fixture) send(headers map[string]string, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	for name, value := range binaryHeaders(headers) {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// binaryHeaders are those of a dead letter, with others over them; an empty
// value takes one away.
func binaryHeaders(more map[string]string) map[string]string {
	all := map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "urn:onefire:alertmanager:default",
		"Ce-Type": "io.prometheus.alert.v1", "Ce-Time": "2026-01-02T03:04:05Z", "Ce-Alertname": "KubePodCrashLooping", "Ce-Severity": "critical",
		"Ce-Knativeerrordest": "http://onefire.onefire.svc.cluster.local", "Ce-Knativeerrorcode": "400",
		"Ce-Knativeerrordata": "bm8gYWxlcnRzIGluIGl0Cg==",
	}
	for name, value := range more {
		if value == "" {
			delete(all, name)
			continue
		}
		all[name] = value
	}
	return all
}
