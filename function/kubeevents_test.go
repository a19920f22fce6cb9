package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"onefire/audit"
	"onefire/config"
	"onefire/dedup"
	"onefire/dedup/client"
	"onefire/function/kube"
	"onefire/mapping"
)

// told is an Event as a fake API server has it.
type told struct {
	Metadata  struct{ Name, Namespace string }
	Regarding struct{ APIVersion, Kind, Namespace, Name, UID string }
	Type      string
	Reason    string
	Note      string
	Action    string
	EventTime string
	// times is how often it was posted.
	times int
}

// tellingFixture is a fixture with a fake API of Events, which keeps names. The
// list is complete when the Recorder is closed, so this closes the Recorder first.
func tellingFixture(t *testing.T) (f *fixture, story func() []told) {
	t.Helper()
	var mu sync.Mutex
	all := map[string]told{}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var one told
		if err != nil || json.Unmarshal(body, &one) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		one.times = 1
		if first, ok := all[one.Metadata.Name]; ok {
			first.times++
			all[one.Metadata.Name] = first
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"AlreadyExists","code":409}`)
			return
		}
		all[one.Metadata.Name] = one
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(api.Close)
	f = newFixture()
	f.dedup.settle = func(_ context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
		if s.Name == "Rejected" {
			return []dedup.Outcome{{Rejected: &dedup.RejectedError{Code: "ERR_K8S_INVALID", Err: errors.New("spec: Invalid value")}}}, nil
		}
		out := make([]dedup.Outcome, len(keys))
		for i := range keys {
			out[i] = dedup.Outcome{Reason: outcomes[s.Name], Name: "rr-1", UID: "uid-1", Count: 1}
		}
		return out, nil
	}
	f.service.observer.events = kube.NewRecorder(&rest.Config{Host: api.URL}, "pod-1", f.service.observer.log, f.service.observer.metrics.event)
	f.service.observer.self = kube.Object{APIVersion: "serving.knative.dev/v1", Kind: "Service", Namespace: "ns", Name: "onefire"}
	return f, func() []told {
		f.service.observer.events.Close(t.Context())
		mu.Lock()
		defer mu.Unlock()
		var out []told
		for _, one := range all {
			out = append(out, one)
		}
		slices.SortFunc(out, func(a, b told) int { return strings.Compare(a.Reason, b.Reason) })
		return out
	}
}

// outcomes are what becomes of an alert by its name.
var outcomes = map[string]mapping.Reason{
	"First": mapping.FirstSeen, "Again": mapping.Recurred, "Before": mapping.ReplayedNew,
	"Active": mapping.Active, "Quiet": mapping.ManualReview, "Counted": mapping.ReplayedDuplicate,
}

func TestWhatHappensIsToldOnItsObject(t *testing.T) {
	const from = " from urn:onefire:alertmanager:default"
	for reason, row := range map[string]struct {
		body string
		// want are type, kind, reason and note.
		want [][4]string
	}{
		"a new one": {webhook(alert("firing", "alertname=First", "severity=warning", "namespace=payments", "pod=api-0")),
			[][4]string{{"Normal", "RemediationRequest", ReasonRequested, "First (high) on Pod payments/api-0" + from}}},
		"on something without a namespace": {webhook(alert("firing", "alertname=First", "node=n1")),
			[][4]string{{"Normal", "RemediationRequest", ReasonRequested, "First (unknown) on Node n1" + from}}},
		"on nothing that is known": {webhook(alert("firing", "alertname=First")),
			[][4]string{{"Normal", "RemediationRequest", ReasonRequested, "First (unknown)" + from}}},
		"one that comes again": {webhook(alert("firing", "alertname=Again")),
			[][4]string{{"Normal", "RemediationRequest", ReasonRequested, "Again (unknown)" + from + ", again after the last request had ended"}}},
		"a redelivery": {webhook(alert("firing", "alertname=Before")),
			[][4]string{{"Normal", "RemediationRequest", ReasonRequested, "Before (unknown)" + from}}},
		"one that is cut": {webhook(alert("firing", "alertname=First", "l="+strings.Repeat("x", 2000))), [][4]string{
			{"Warning", "RemediationRequest", ReasonCut, "First (unknown)" + from + ": the alert was too large, and is cut where the request says so"},
			{"Normal", "RemediationRequest", ReasonRequested, "First (unknown)" + from}}},
		"one that the API server refuses": {webhook(alert("firing", "alertname=Rejected", "severity=critical")),
			[][4]string{{"Warning", "Service", ReasonInvalid, "Rejected (critical)" + from + " can never become a RemediationRequest: spec: Invalid value"}}},
		"one without a name": {webhook(alert("firing", "pod=p")),
			[][4]string{{"Warning", "Service", ReasonInvalid, "An alert without a name (unknown) on Pod p" + from + " can never become a RemediationRequest: the alert has no alertname label"}}},
		"Alertmanager left some out": {`{"truncatedAlerts":1,"alerts":[` + alert("firing", "alertname=Active") + `]}`,
			[][4]string{{"Warning", "Service", ReasonTruncated, "Alertmanager left out 1 alerts of a notification" + from + ": raise the receiver's max_alerts or group by more labels"}}},
		"repeats are not told": {webhook(alert("firing", "alertname=Active"), alert("firing", "alertname=Quiet"), alert("firing", "alertname=Counted")), nil},
		"nor what is over":     {webhook(alert("resolved", "alertname=First")), nil},
		"nor what is ignored":  {webhook(alert("firing", "alertname=Watchdog")), nil},
	} {
		t.Run(reason, func(t *testing.T) {
			f, story := tellingFixture(t)
			for _, id := range []string{"1", "1", "2"} { // Delivered twice, and then repeated.
				requireStatus(t, http.StatusOK, f.serve(with(binary(id, row.body), "Ce-Source", "urn:onefire:alertmanager:default")))
			}
			var got [][4]string
			for _, one := range story() {
				require.Equal(t, one.Metadata.Namespace, one.Regarding.Namespace)
				if one.Regarding.Kind == "Service" {
					require.Equal(t, "serving.knative.dev/v1 ns onefire ", strings.Join([]string{one.Regarding.APIVersion, one.Regarding.Namespace, one.Regarding.Name, one.Regarding.UID}, " "))
				} else {
					require.Equal(t, "kubernaut.ai/v1alpha1 ns rr-1 uid-1", strings.Join([]string{one.Regarding.APIVersion, one.Regarding.Namespace, one.Regarding.Name, one.Regarding.UID}, " "))
				}
				require.Equal(t, map[string]string{ReasonRequested: "Create", ReasonCut: "Create", ReasonInvalid: "Settle", ReasonTruncated: "Receive"}[one.Reason], one.Action)
				require.Equal(t, "2026-01-17T12:00:00.000000Z", one.EventTime)
				got = append(got, [4]string{one.Type, one.Regarding.Kind, one.Reason, one.Note})
			}
			require.Equal(t, row.want, got)
		})
	}
}

func TestEachInvalidAlertAndEachSourceIsTold(t *testing.T) {
	f, story := tellingFixture(t)
	body := `{"truncatedAlerts":3,"alerts":[` + alert("firing", "alertname=Rejected", "pod=a") + "," + alert("firing", "alertname=Rejected", "pod=b") + `]}`
	source := strings.Repeat("x", maxNoteSource)
	requireStatus(t, http.StatusOK, f.serve(with(binary("1", body), "Ce-Source", source+"yz")))
	requireStatus(t, http.StatusOK, f.serve(with(binary("2", body), "Ce-Source", source+"z")))
	var reasons []string
	for _, one := range story() {
		reasons = append(reasons, one.Reason)
		require.Contains(t, one.Note, " from "+source)
		require.NotContains(t, one.Note, source+"y")
	}
	require.Equal(t, []string{ReasonInvalid, ReasonInvalid, ReasonTruncated, ReasonTruncated}, reasons)
}

func TestALateRedeliveryIsNoNews(t *testing.T) {
	for reason, row := range map[string]struct {
		name string
		ago  time.Duration
		want int
	}{
		"soon":                      {"Before", time.Hour, 1},
		"when Events are forgotten": {"Before", time.Hour + time.Second, 0},
		"a first delivery is news":  {"First", 48 * time.Hour, 1},
	} {
		f, story := tellingFixture(t)
		r := with(binary("1", webhook(alert("firing", "alertname="+row.name))), "Ce-Time", noon.Add(-row.ago).Format(time.RFC3339))
		requireStatus(t, http.StatusOK, f.serve(r))
		require.Len(t, story(), row.want, reason)
	}
}

func TestWhatIsNotSettledIsNotTold(t *testing.T) {
	f, story := tellingFixture(t)
	f.sink.fail = func(audit.Event) error { return errors.New("the sink is down") }
	requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("1", webhook(alert("firing", "alertname=First")))))
	require.Empty(t, story())
}

func TestAStopTellsWhatWaits(t *testing.T) {
	f, story := tellingFixture(t)
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=First")))))
	require.NoError(t, f.Stop(t.Context()))
	f.service.observer.events.Record(kube.Event{On: f.service.observer.self, Type: kube.Normal, Reason: "Late"})
	told := story()
	require.Len(t, told, 1, "a Kubernetes Event came after the stop")
	require.Equal(t, "RemediationRequested", told[0].Reason)
}

func TestWhoIsNotKnownAsAServiceLeavesItToTheLog(t *testing.T) {
	f, story := tellingFixture(t)
	f.service.observer.self = kube.Object{}
	requireStatus(t, http.StatusOK, f.serve(binary("1", `{"truncatedAlerts":3,"alerts":[`+alert("firing", "pod=p")+`]}`)))
	require.Empty(t, story())
	require.Contains(t, f.log.String(), "Alertmanager left out alerts")
	require.Contains(t, f.log.String(), `"decision":"invalid"`)
}

// fromKubeconfig is the namespace of a kubeconfig's context.
func fromKubeconfig(t *testing.T) func() (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file, []byte(`{"clusters":[{"name":"x","cluster":{"server":"https://127.0.0.1:1"}}],
		"contexts":[{"name":"x","context":{"cluster":"x","namespace":"from-kubeconfig"}}],"current-context":"x"}`), 0o600))
	_, namespace, err := client.LoadWithNamespace(file)
	require.NoError(t, err)
	return namespace
}

func TestTheFunctionKnowsItself(t *testing.T) {
	namespace := fromKubeconfig(t)
	for reason, row := range map[string]struct {
		config config.Config
		want   kube.Object
	}{
		"not under Knative":      {config.Config{PodNamespace: "ns"}, kube.Object{}},
		"its pod's namespace":    {config.Config{PodNamespace: "ns", Service: "onefire"}, kube.Object{APIVersion: "serving.knative.dev/v1", Kind: "Service", Namespace: "ns", Name: "onefire"}},
		"else where it calls to": {config.Config{Service: "onefire"}, kube.Object{APIVersion: "serving.knative.dev/v1", Kind: "Service", Namespace: "from-kubeconfig", Name: "onefire"}},
	} {
		require.Equal(t, row.want, self(row.config, namespace), reason)
	}
	require.Empty(t, self(config.Config{Service: "onefire"}, func() (string, error) { return "", errors.New("nowhere") }))
	name, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, name, instance())
}
