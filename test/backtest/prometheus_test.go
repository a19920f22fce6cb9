package backtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/test/child"
)

// evaluation is how often Prometheus evaluates a rule.
const evaluation = time.Minute

// prometheus starts a Prometheus without targets and rules, below a path prefix,
// and returns the URL that its users open.
func prometheus(t *testing.T) string {
	t.Helper()
	dir, address := t.TempDir(), child.AddressFor(t)
	file := filepath.Join(dir, "prometheus.yml")
	// All of the history comes at once, and most of it is older than what was
	// written before it.
	require.NoError(t, os.WriteFile(file, []byte("storage: {tsdb: {out_of_order_time_window: 90d}}\n"), 0o600))
	log := &child.Log{}
	p := exec.Command(prometheusBinary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--storage.tsdb.retention.time=90d",
		"--web.enable-otlp-receiver", "--web.listen-address="+address, "--web.external-url=http://"+address+"/prometheus")
	p.Stdout, p.Stderr, p.SysProcAttr = log, log, child.DiesWithUs()
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGTERM) // A process that is gone need not be stopped.
		_ = p.Wait()
	})
	url := "http://" + address + "/prometheus"
	require.Eventually(t, func() bool {
		resp, err := http.Get(url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, patience, pollEvery, "%s", log)
	return url
}

// fill writes the history of burns as Prometheus itself does: one sample of
// ALERTS for each evaluation, and a staleness marker when the alert is over.
func fill(t *testing.T, url string, burns []burn) {
	t.Helper()
	type object = map[string]any
	var points []object
	for _, b := range burns {
		attributes := []object{{"key": "alertstate", "value": object{"stringValue": "firing"}}}
		for name, value := range b.labels {
			attributes = append(attributes, object{"key": name, "value": object{"stringValue": value}})
		}
		point := func(at time.Time, flags int) {
			points = append(points, object{"timeUnixNano": strconv.FormatInt(at.UnixNano(), 10), "asInt": "1", "flags": flags, "attributes": attributes})
		}
		for at := b.start; !at.After(b.end); at = at.Add(evaluation) {
			point(at, 0)
		}
		const noRecordedValue = 1
		point(b.end.Add(evaluation), noRecordedValue)
	}
	body, err := json.Marshal(object{"resourceMetrics": []object{{"scopeMetrics": []object{{"metrics": []object{
		{"name": "ALERTS", "gauge": object{"dataPoints": points}},
	}}}}}})
	require.NoError(t, err)
	resp, err := http.Post(url+"/api/v1/otlp/v1/metrics", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", text)
}

// burn is one alert that burned, from its first evaluation to its last.
type burn struct {
	labels     map[string]string
	start, end time.Time
}
