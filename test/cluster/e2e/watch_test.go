package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	prometheus   = "http://prometheus.monitoring.svc.cluster.local:9090"
	alertmanager = "http://alertmanager-0.monitoring.svc.cluster.local:9093"
)

// get reads JSON from an address, and says whether there was any.
func (w *world) get(address string, into any) bool {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	require.NoError(w.t, err)
	response, err := (&http.Client{Timeout: ask}).Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(into) == nil
}

// query asks Prometheus, and gives the labels of each series of the answer.
func (w *world) query(expression string) (series []map[string]string) {
	w.t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if !w.get(prometheus+"/api/v1/query?query="+url.QueryEscape(expression), &answer) {
		return nil
	}
	for _, result := range answer.Data.Result {
		series = append(series, result.Metric)
	}
	return series
}

// fires tells whether an alert on Onefire itself is one of Alertmanager's.
func (w *world) fires(alertname, result string) bool {
	w.t.Helper()
	var alerts []struct{ Labels map[string]string }
	if !w.get(alertmanager+"/api/v2/alerts?active=true", &alerts) {
		return false
	}
	return slices.ContainsFunc(alerts, func(a struct{ Labels map[string]string }) bool {
		return a.Labels["alertname"] == alertname && a.Labels["result"] == result && a.Labels["component"] == "onefire"
	})
}

func TestPrometheusSeesAllOfOnefire(t *testing.T) {
	w := newWorld(t)
	name := fresh("Seen")
	// The test before may have started the Broker anew.
	var s sender
	require.NoError(t, s.send(t.Context(), name, body(name, "api")))
	for _, part := range []string{"onefire-[0-9]+-deployment.*", "onefire-source-.*", "onefire-deadletters-.*"} {
		require.Eventually(t, func() bool { return len(w.query(fmt.Sprintf(`up{job="onefire",pod=~%q} == 1`, part))) > 0 }, zero, look, part)
	}
	require.Eventually(t, func() bool {
		return len(w.query(`up{job=~"onefire.*"} == 1`)) > 0 && len(w.query(`up{job=~"onefire.*"} == 0`)) == 0
	}, zero, look, "nothing is asked where nobody answers, but for pods that come and go")
	for _, metric := range []string{
		// A new pod waits 15 minutes for its first.
		`onefire_alerts_total{decision="new"}`, `onefire_audit_events_total{result="stored"}`, "onefire_requests_total", "last_over_time(onefire_source_last_watchdog_timestamp_seconds[1h])",
		"onefire_deadletters_waiting", `kn_eventing_dispatch_duration_seconds_count{messaging_destination_name="trigger:onefire.onefire",http_response_status_code=~"2.."}`,
		`kn_revision_pods_count{k8s_namespace_name="onefire",kn_service_name="onefire"}`, `apiserver_request_total{group="kubernaut.ai",resource="remediationrequests",verb="POST"}`,
	} {
		require.Eventually(t, func() bool { return len(w.query(metric)) > 0 }, time.Minute, look, metric)
	}
	var rules struct {
		Data struct {
			Groups []struct {
				Name  string
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	require.True(t, w.get(prometheus+"/api/v1/rules", &rules))
	loaded := 0
	for _, group := range rules.Data.Groups {
		for _, rule := range group.Rules {
			require.Equal(t, "ok", rule.Health, "%s: %s", rule.Name, rule.LastError)
			if strings.HasPrefix(rule.Name, "Onefire") {
				loaded++
			}
		}
	}
	t.Logf("%d rules, all healthy", loaded)
	require.NotZero(t, loaded)
}

func TestAuditEventsThatDoNotArriveFireAnAlert(t *testing.T) {
	const alertname = "OnefireAuditFailing"
	for result, broken := range map[string]func(w *world, name string) (mend func()){
		// DataStorage refuses what is not its schema, for good. A function that requires audit
		// would not get ready.
		"set_aside": func(w *world, name string) func() {
			w.setEnv("AUDIT_MODE", "best-effort")
			w.setEnv("AUDIT_SCHEMA", "2026-01")
			status, err := post(w.t.Context(), name, body(name, "api"))
			require.NoError(w.t, err)
			require.Equal(w.t, http.StatusAccepted, status, "the alert is not held up")
			return func() {}
		},
		// Nobody answers.
		"unavailable": func(w *world, name string) func() {
			scale := func(n int) {
				w.kubectl("-n", "kubernaut-system", "scale", "deployment", "datastorage", fmt.Sprint("--replicas=", n))
			}
			// A pod that runs, since one that starts is not ready without
			// DataStorage, and is given no events.
			warm := name + "Warm"
			_, err := post(w.t.Context(), warm, body(warm, "api"))
			require.NoError(w.t, err)
			wait := burst(w.t, name, 50, 5, look, time.Second)
			scale(0)
			w.t.Cleanup(func() { scale(1) })
			return func() {
				scale(1)
				w.settles(name, wait())
			}
		},
	} {
		t.Run(result, func(t *testing.T) {
			w := newWorld(t)
			require.Eventually(t, func() bool { return !w.fires(alertname, result) }, forgotten, 5*look, "it fires still for what was before")
			begin := time.Now()
			mend := broken(w, fresh("Audit"+result))
			require.Eventually(t, func() bool { return w.fires(alertname, result) }, settled, look)
			t.Logf("%s fires %.0f s later", result, time.Since(begin).Seconds())
			mend()
		})
	}
	require.Empty(t, newWorld(t).named(alertname), "an alert on Onefire itself makes no request")
}
