package function

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
	"onefire/function/telemetry"
)

// settings are an environment.
type settings map[string]string

// started is a function whose API server is a fake one, behind a real connection.
type started struct {
	*Function
	api *fakeAPI
	log *locked
	// events are the Kubernetes Events that were posted, and asked tells how often a call
	// was made.
	events func() []told
	asked  func(call string) int
	// address is that of its metrics.
	address string
}

// start starts a function as the environment says, in place of what [Function.Start] logs to
// stderr. before may answer in place of the API server.
func start(t *testing.T, environment settings, before func(api *fakeAPI, verb string, r *http.Request) *http.Response) *started {
	t.Helper()
	s := &started{Function: New(), api: newFakeAPI(), log: &locked{w: &strings.Builder{}}, address: freeAddress(t)}
	var mu sync.Mutex
	var events []told
	asked := map[string]int{}
	s.events = func() []told { mu.Lock(); defer mu.Unlock(); return events }
	s.asked = func(call string) int { mu.Lock(); defer mu.Unlock(); return asked[call] }
	s.api.before = func(verb string, r *http.Request) *http.Response {
		mu.Lock()
		defer mu.Unlock()
		asked[r.Method+" "+r.URL.Path]++
		if strings.HasPrefix(r.URL.Path, "/apis/events.k8s.io/") {
			var one told
			if err := json.NewDecoder(r.Body).Decode(&one); err == nil {
				events = append(events, one)
			}
			return kubeAnswer(http.StatusCreated, map[string]string{})
		}
		if before != nil {
			return before(s.api, verb, r)
		}
		return nil
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			r.Body = nil // as a client's request has it
		}
		resp, err := s.api.RoundTrip(r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		defer resp.Body.Close()
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(server.Close)
	all := settings{"KUBECONFIG": kubeconfigOf(t, server.URL), "POD_NAMESPACE": "ops", "METRICS_ADDRESS": s.address, "AUDIT_SINK": config.NoAudit}
	for name, value := range environment {
		all[name] = value
	}
	c, err := config.Load(all)
	require.NoError(t, err)
	service, err := newService(t.Context(), c, slog.New(slog.NewJSONHandler(s.log, nil)))
	require.NoError(t, err)
	now := func() time.Time { return noon }
	service.observer.now, service.pipeline.now = now, now
	s.service.Store(service)
	return s
}

// stop stops the function, after which its log and its Kubernetes Events are complete.
func (s *started) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, s.Stop(context.WithoutCancel(t.Context())))
}

func (s *started) post(t *testing.T, id string, alerts ...string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, binary(id, webhook(alerts...)))
	return w
}

func TestWhatIsWiredByAStart(t *testing.T) {
	collected := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		collected <- string(body)
		w.WriteHeader(http.StatusTeapot)
	}))
	defer collector.Close()
	f := start(t, settings{
		"REMEDIATION_NAMESPACE": "ops", "POD_NAMESPACE": "home", "REPLY": "summary", "K_SERVICE": "onefire", "OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.URL, "OTEL_METRICS_EXPORTER": "none",
	}, nil)
	w := f.post(t, "1", alert("firing", "alertname=A"), alert("firing", "alertname=B"), alert("firing", "pod=p"))
	requireStatus(t, http.StatusOK, w)
	require.Equal(t, SummaryType, w.Header().Get("Ce-Type"))
	for _, o := range f.api.objects {
		require.Equal(t, "alert", o["spec"].(map[string]any)["signalType"])
	}
	metrics := scraped(t, f.address)
	require.Contains(t, metrics, `onefire_api_duration_seconds_count{code="201",resource="remediationrequests",verb="create"} 2`)
	require.Contains(t, metrics, "onefire_paused_timestamp_seconds 0\n")
	require.NotZero(t, f.asked("GET /api/v1/namespaces/home/configmaps/onefire-brake"))
	f.stop(t)

	var on []string
	for _, e := range f.events() {
		on = append(on, e.Reason+" on "+e.Regarding.Kind+" "+e.Regarding.Namespace)
	}
	require.ElementsMatch(t, []string{"RemediationRequested on RemediationRequest ops", "RemediationRequested on RemediationRequest ops", "AlertInvalid on Service home"}, on)
	resource, spans, _ := strings.Cut(<-collected, `"scopeSpans"`)
	for _, part := range []string{`{"key":"service.name","value":{"stringValue":"onefire"}}`, `{"key":"k8s.namespace.name","value":{"stringValue":"home"}}`} {
		require.Contains(t, resource, part)
	}
	for _, part := range []string{`"name":"process test"`, `"name":"create remediationrequests"`} {
		require.Contains(t, spans, part)
	}
	require.Contains(t, f.log.String(), `"msg":"telemetry lost"`)
	require.Contains(t, f.log.String(), `"msg":"stopped"`)
}

func TestWhatIsTurnedOffIsNotWired(t *testing.T) {
	f := start(t, settings{"REMEDIATION_NAMESPACE": "ops", "KUBERNETES_EVENTS": "off", "BRAKE": "none", "AUDIT_SCHEMA": "2026-01"}, nil)
	w := f.post(t, "1", alert("firing", "alertname=A"))
	requireStatus(t, http.StatusOK, w)
	require.Empty(t, w.Header().Get("Ce-Type"))
	require.NotContains(t, scraped(t, f.address), "onefire_paused")
	require.Zero(t, f.asked("GET /api/v1/namespaces/ops/configmaps/onefire-brake"))
	for _, o := range f.api.objects {
		require.Equal(t, "prometheus-alert", o["spec"].(map[string]any)["signalType"])
	}
	_, traced := f.service.Load().pipeline.observer.startGroup(t.Context())
	require.Equal(t, telemetry.NoSpan, traced)
	f.stop(t)
	require.Empty(t, f.events())
}

func TestWhatDeduplicationSeesIsObserved(t *testing.T) {
	// ended makes the first object one that ended a week ago, and one of n.
	ended := func(n int) func(f *started) {
		return func(f *started) {
			f.api.mu.Lock()
			defer f.api.mu.Unlock()
			if len(f.api.objects) > 1 {
				return
			}
			ago := noon.AddDate(0, 0, -7).Format(time.RFC3339)
			for _, o := range f.api.objects {
				merge(o, map[string]any{"metadata": map[string]any{"creationTimestamp": ago}, "status": map[string]any{
					"overallPhase": "Completed", "deduplication": map[string]any{"lastSeenAt": ago}}})
				text, err := json.Marshal(o)
				require.NoError(t, err)
				for i := range n - 1 {
					var older map[string]any
					require.NoError(t, json.Unmarshal(text, &older))
					name := fmt.Sprintf("rr-older-%d", i)
					merge(older, map[string]any{"metadata": map[string]any{"name": name, "uid": name, "creationTimestamp": noon.AddDate(0, 0, -8).Format(time.RFC3339)}})
					f.api.objects[name] = older
				}
				return
			}
		}
	}
	for says, row := range map[string]struct {
		before func(api *fakeAPI, verb string, r *http.Request) *http.Response
		// between happens between two events of one alert.
		between func(f *started)
	}{
		"deleted an ended object: HISTORY_LIMIT newer ones exist": {func(_ *fakeAPI, verb string, _ *http.Request) *http.Response {
			if verb == "delete" {
				return kubeAnswer(http.StatusOK, map[string]string{"kind": "Status", "apiVersion": "v1", "status": "Success"})
			}
			return nil
		}, ended(5)},
		"the brake cannot be read": {func(_ *fakeAPI, _ string, r *http.Request) *http.Response {
			if strings.Contains(r.URL.Path, "/configmaps/") {
				return failure(http.StatusForbidden, "Forbidden")
			}
			return nil
		}, func(*started) {}},
		"an admission policy or webhook changes the RemediationRequests": {func(api *fakeAPI, verb string, r *http.Request) *http.Response {
			if verb != "create" {
				return nil
			}
			var o map[string]any
			if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
				return failure(http.StatusBadRequest, "BadRequest")
			}
			delete(o["metadata"].(map[string]any)["annotations"].(map[string]any), "onefire/event")
			api.mu.Lock()
			defer api.mu.Unlock()
			return api.create(o)
		}, func(*started) {}},
		"a fingerprint has so many RemediationRequests": {nil, ended(600)},
		"the RemediationRequest CRD keeps no status.conditions": {func(api *fakeAPI, verb string, r *http.Request) *http.Response {
			if verb != "patch" {
				return nil
			}
			before := api.before
			api.before = nil
			defer func() { api.before = before }()
			resp, err := api.RoundTrip(r)
			require.NoError(t, err)
			resp.Header.Set("Warning", `299 - "unknown field \"status.conditions\""`)
			return resp
		}, func(*started) {}},
	} {
		t.Run(says, func(t *testing.T) {
			f := start(t, settings{"REMEDIATION_NAMESPACE": "ops", "HISTORY_LIMIT": "1", "MAX_EVENT_AGE": "0"}, row.before)
			for _, id := range []string{"1", "2", "3"} {
				f.post(t, id, alert("firing", "alertname=A"))
				row.between(f)
			}
			require.Eventually(t, func() bool { return strings.Contains(f.log.String(), says) }, 10*time.Second, time.Millisecond)
			if strings.HasPrefix(says, "deleted") {
				require.Eventually(t, func() bool {
					return strings.Contains(scraped(t, f.address), fmt.Sprintf("onefire_history_deleted_total %d\n", strings.Count(f.log.String(), says)))
				}, 10*time.Second, time.Millisecond)
			}
			f.stop(t)
		})
	}
}

func TestAStartThatCannotBeNamesTheReason(t *testing.T) {
	for says, c := range map[string]config.Config{
		"cannot find a Kubernetes API server": {Kubeconfig: filepath.Join(t.TempDir(), "none")},
		"host must be a URL":                  {Kubeconfig: kubeconfigOf(t, "https://[::1"), Brake: config.NoBrake},
		"reading the audit sink's CA: ":       {Kubeconfig: kubeconfigOf(t, "https://127.0.0.1:1"), Brake: config.NoBrake, AuditSink: "https://127.0.0.1:1", AuditCAFile: filepath.Join(t.TempDir(), "none")},
	} {
		_, err := newService(t.Context(), c, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, says)
	}
}

func TestTheAuditSinkIsReachedAsConfigured(t *testing.T) {
	var mu sync.Mutex
	var posts []http.Header
	sink := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost {
			posts = append(posts, r.Header)
		}
	}))
	defer sink.Close()
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sink.Certificate().Raw}))
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		return name
	}
	for trust, environment := range map[string]settings{"a file": {"AUDIT_CA_FILE": file(certificate)}, "the Broker's": {"K_CA_CERTS": certificate}} {
		t.Run(trust, func(t *testing.T) {
			environment["REMEDIATION_NAMESPACE"], environment["AUDIT_SINK"] = "ops", sink.URL
			environment["AUDIT_TOKEN_FILE"], environment["K_CE_OVERRIDES"] = file("hush"), `{"extensions":{"team":"sre"}}`
			f := start(t, environment, nil)
			requireStatus(t, http.StatusOK, f.post(t, "1", alert("firing", "pod=p")))
			f.stop(t)
			mu.Lock()
			defer mu.Unlock()
			require.Len(t, posts, 1)
			require.Equal(t, "Bearer hush", posts[0].Get("Authorization"))
			require.Equal(t, "sre", posts[0].Get("Ce-Team"))
			posts = nil
		})
	}
}

func TestDataStorageIsTriedWithAnEventOfOurSchema(t *testing.T) {
	posted := make(chan string, 1)
	datastorage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				posted <- string(body)
			}
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"data":[]}`)
	}))
	defer datastorage.Close()
	f := start(t, settings{"REMEDIATION_NAMESPACE": "ops", "AUDIT_SINK": datastorage.URL + "/api/v1/audit/events"}, nil)
	ready, err := f.Ready(t.Context())
	require.NoError(t, err)
	require.True(t, ready)
	require.Contains(t, <-posted, "OnefireReadiness")
	f.stop(t)
}
