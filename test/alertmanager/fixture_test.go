package alertmanager

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"onefire/test/child"
)

const (
	// patience bounds every wait; Alertmanager's own pauses are up to a few
	// seconds here.
	patience  = 60 * time.Second
	pollEvery = 20 * time.Millisecond
)

// sink is a fake Broker. It keeps what came, and what of it it took.
type sink struct {
	*httptest.Server
	mu           sync.Mutex
	down         bool
	tried, taken []event.Event
}

func newSink(t *testing.T) *sink {
	s := &sink{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, err := binding.ToEvent(r.Context(), cehttp.NewMessageFromHttpRequest(r))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = append(s.tried, *e)
	if s.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.taken = append(s.taken, *e)
	w.WriteHeader(http.StatusAccepted)
}

func (s *sink) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// ids counts the ids of the events that came, and of those that were taken.
func (s *sink) ids() (tried, taken map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := func(events []event.Event) map[string]int {
		n := map[string]int{}
		for _, e := range events {
			n[e.ID()]++
		}
		return n
	}
	return count(s.tried), count(s.taken)
}

// events are those that were taken with a status.
func (s *sink) events(status string) []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var some []event.Event
	for _, e := range s.taken {
		if e.Extensions()["status"] == status {
			some = append(some, e)
		}
	}
	return some
}

// process is a running binary and its log.
type process struct {
	address string
	log     *child.Log
	stop    func()
}

// run starts a binary and waits until a path of its address is answered 200.
func run(t *testing.T, address, path string, environment []string, binary string, arguments ...string) *process {
	t.Helper()
	p := &process{address: address, log: &child.Log{}}
	command := exec.Command(binary, arguments...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = p.log, p.log
	command.SysProcAttr = child.DiesWithUs()
	require.NoError(t, command.Start())
	var once sync.Once
	p.stop = func() {
		once.Do(func() {
			_ = command.Process.Signal(syscall.SIGTERM) // A process that is gone need not be stopped.
			_ = command.Wait()
		})
	}
	t.Cleanup(p.stop)
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, patience, pollEvery, "%s", p.log)
	return p
}

func startSource(t *testing.T, address string, to *sink, window string) *process {
	t.Helper()
	return run(t, address, "/health/readiness", []string{"K_SINK=" + to.URL, "LISTEN_ADDRESS=" + address, "WINDOW=" + window}, sourceBinary)
}

// times are an Alertmanager's, and how many alerts it sends at most.
type times struct {
	interval, repeat string
	maxAlerts        int
}

// startAlertmanager starts one that sends to a source.
func startAlertmanager(t *testing.T, source string, is times, arguments ...string) *process {
	t.Helper()
	return startWith(t, fmt.Appendf(nil, `
route: {receiver: onefire, group_by: [alertname], group_wait: 100ms, group_interval: %s, repeat_interval: %s}
receivers:
  - name: onefire
    webhook_configs: [{url: "http://%s/alertmanager", send_resolved: true, max_alerts: %d}]
`, is.interval, is.repeat, source, is.maxAlerts), arguments...)
}

// startWith starts one with a configuration file.
func startWith(t *testing.T, text []byte, arguments ...string) *process {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	address := child.AddressFor(t)
	if arguments == nil {
		arguments = []string{"--cluster.listen-address="}
	}
	return run(t, address, "/-/ready", nil, alertmanagerBinary, append(arguments,
		"--config.file="+file, "--storage.path="+dir, "--web.listen-address="+address)...)
}

// fire posts alerts for pods to an Alertmanager; they end then, unless that is
// zero.
func (p *process) fire(t *testing.T, began, ends time.Time, pods ...string) {
	t.Helper()
	var alerts []map[string]any
	for _, pod := range pods {
		a := map[string]any{"labels": map[string]string{"alertname": "KubePodCrashLooping", "severity": "warning", "namespace": "shop", "pod": pod}, "startsAt": began}
		if !ends.IsZero() {
			a["endsAt"] = ends
		}
		alerts = append(alerts, a)
	}
	p.post(t, alerts)
}

// post posts alerts to an Alertmanager, as Prometheus does.
func (p *process) post(t *testing.T, alerts []map[string]any) {
	t.Helper()
	body, err := json.Marshal(alerts)
	require.NoError(t, err)
	resp, err := http.Post("http://"+p.address+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", text)
}

// fingerprints are those that an Alertmanager itself gives to its alerts.
func (p *process) fingerprints(t *testing.T) []string {
	t.Helper()
	resp, err := http.Get("http://" + p.address + "/api/v2/alerts")
	require.NoError(t, err)
	defer resp.Body.Close()
	var alerts []struct{ Fingerprint string }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&alerts))
	var all []string
	for _, a := range alerts {
		all = append(all, a.Fingerprint)
	}
	return all
}

func (p *process) logged(text string) int { return strings.Count(p.log.String(), text) }
