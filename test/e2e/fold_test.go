package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"onefire/dedup"
	"onefire/mapping"
	"onefire/test/client"
)

// foldedAlerts are the names and severities in an object's list of alerts.
func foldedAlerts(t testing.TB, o *unstructured.Unstructured) (all []string, omitted bool) {
	t.Helper()
	list, _, err := unstructured.NestedSlice(o.Object, "status", "deduplication", "alerts")
	require.NoError(t, err)
	for _, a := range list {
		entry := a.(map[string]any)
		seen, err := time.Parse(time.RFC3339, fmt.Sprint(entry["firstSeenAt"]))
		require.NoError(t, err)
		// The API server's clock may be ahead.
		require.WithinRange(t, seen, o.GetCreationTimestamp().Time, time.Now().Add(time.Hour))
		all = append(all, fmt.Sprint(entry["alertname"], " ", entry["severity"]))
	}
	omitted, _, err = unstructured.NestedBool(o.Object, "status", "deduplication", "alertsOmitted")
	require.NoError(t, err)
	return all, omitted
}

// requireNamed asks that an object names each of the alerts that it counts, and
// nothing else.
func (l *ledger) requireNamed(t testing.TB, o *unstructured.Unstructured) {
	t.Helper()
	record := client.RecordOf(o)
	if len(record.Counts) == 0 {
		return // It is not ours.
	}
	came := map[string]bool{}
	for key := range record.Counts {
		came[l.sent[key].alert] = true
	}
	require.False(t, record.Omitted)
	labels, _, err := unstructured.NestedStringMap(o.Object, "spec", "signalLabels")
	require.NoError(t, err)
	named := []string{fmt.Sprint(mapping.LabelsID(labels), " ", field(o, "spec", "signalName"), " ", field(o, "spec", "severity"))}
	for _, a := range record.Alerts {
		require.WithinRange(t, a.FirstSeen, o.GetCreationTimestamp().Time, time.Now().Add(time.Hour))
		named = append(named, fmt.Sprint(a.ID, " ", a.Alertname, " ", a.Severity))
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(came)), named, o.GetName())
}

// columns are the cells of the object's row in a table, by column.
func (w *world) columns(name string) map[string]any {
	w.t.Helper()
	http, err := rest.HTTPClientFor(kubeConfig)
	require.NoError(w.t, err)
	config := dynamic.ConfigFor(kubeConfig)
	config.GroupVersion, config.APIPath = new(dedup.Resource.GroupVersion()), "/apis"
	api, err := rest.RESTClientForConfigAndClient(config, http)
	require.NoError(w.t, err)
	text, err := api.Get().Namespace(w.namespace).Resource(dedup.Resource.Resource).Name(name).
		SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").DoRaw(w.t.Context())
	require.NoError(w.t, err)
	var table metav1.Table
	require.NoError(w.t, json.Unmarshal(text, &table))
	cells := map[string]any{}
	for i, c := range table.ColumnDefinitions {
		cells[c.Name] = table.Rows[0].Cells[i]
	}
	return cells
}

func about(alertname, severity string) string {
	return alert("firing", "alertname="+alertname, "namespace=payments", "pod=api-0", "severity="+severity)
}

func TestAlertsThatFoldIntoOneObjectAreAllVisible(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start("FINGERPRINT=resource")
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(about("PodSlow", "warning"))))
	alone, omitted := foldedAlerts(t, w.only())
	require.Empty(t, alone)
	require.Nil(t, w.columns(w.only().GetName())["Also"])
	require.False(t, omitted)

	// Two at once, one of them as before, and one that is worse.
	require.Equal(t, http.StatusOK, w.post(f, "2", webhook(about("PodSlow", "warning"), about("PodDown", "critical"))))
	require.Equal(t, http.StatusOK, w.post(f, "3", webhook(about("PodSlow", "info"))))
	want := []string{"PodDown critical", "PodSlow low"}
	o := w.only()
	got, omitted := foldedAlerts(t, o)
	require.Equal(t, want, got)
	require.False(t, omitted)
	require.EqualValues(t, 4, count(o))
	require.Equal(t, "high", field(o, "spec", "severity"), "the spec is written once")
	cells := w.columns(o.GetName())
	require.Equal(t, []any{"PodSlow", "high", "payments", "Pod", "api-0", "PodDown", "critical"},
		[]any{cells["Alert"], cells["Severity"], cells["Namespace"], cells["Kind"], cells["Target"], cells["Also"], cells["Also severity"]})

	require.Equal(t, http.StatusOK, w.post(f, "2", webhook(about("PodSlow", "warning"), about("PodDown", "critical"))))
	require.Equal(t, o.GetResourceVersion(), w.only().GetResourceVersion(), "a redelivery changes nothing")

	var audited []string
	for _, e := range w.audit(mapping.SignalDeduplicated) {
		require.Equal(t, o.GetName(), e.CorrelationID)
		audited = append(audited, fmt.Sprint(e.Data.SignalName, " ", e.Data.Severity))
	}
	require.ElementsMatch(t, []string{"PodSlow high", "PodDown critical", "PodSlow low"}, audited)

	// More than an object names: the API server takes what is written, and the worst stay.
	var many []string
	for i := range dedup.MaxAlerts {
		many = append(many, about(fmt.Sprint("Many", i), "warning"))
	}
	require.Equal(t, http.StatusOK, w.post(f, "4", webhook(many...)))
	require.Equal(t, http.StatusOK, w.post(f, "5", webhook(about("PodGone", "critical"))))
	got, omitted = foldedAlerts(t, w.only())
	require.Len(t, got, dedup.MaxAlerts)
	require.True(t, omitted)
	require.Equal(t, []string{"PodDown critical", "PodGone critical", "Many0 high"}, got[:3])
	require.NotContains(t, got, "PodSlow low")
	require.EqualValues(t, 5+dedup.MaxAlerts, count(w.only()))
}

// The alerts of two containers are two: the object says which, and it is resolved
// when both are.
func TestAnObjectIsResolvedWhenAllOfItsAlertsAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	of := func(status, container string) string {
		return alert(status, "alertname=Crash", "namespace=payments", "pod=api-0", "container="+container, "severity=critical")
	}
	later := func(alert string) string { return strings.ReplaceAll(alert, "2026-01-17T11", "2026-01-17T12") }
	mark := func() string { return field(w.only(), "status", "deduplication", "lastResolvedAt") }
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(of("firing", "app"), of("firing", "proxy"))))
	list, _, err := unstructured.NestedSlice(w.only().Object, "status", "deduplication", "alerts")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, map[string]any{"container": "proxy"}, list[0].(map[string]any)["labels"])

	require.Equal(t, http.StatusOK, w.post(f, "2", webhook(of("resolved", "proxy"))))
	require.Empty(t, mark(), "the other one fires")
	require.Equal(t, http.StatusOK, w.post(f, "3", webhook(of("resolved", "app"))))
	require.Equal(t, "2026-01-17T11:30:00Z", mark())
	o := w.only()
	require.Equal(t, http.StatusOK, w.post(f, "3", webhook(of("resolved", "app"))))
	require.Equal(t, o.GetResourceVersion(), w.only().GetResourceVersion(), "saying it again changes nothing")

	require.Equal(t, http.StatusOK, w.post(f, "4", webhook(later(of("firing", "proxy")))))
	require.Empty(t, mark(), "one fires again")
	require.Equal(t, http.StatusOK, w.post(f, "5", webhook(later(of("resolved", "proxy")))))
	require.Equal(t, "2026-01-17T12:30:00Z", mark())
	require.EqualValues(t, 3, count(w.only()))
}

func TestSeveritiesOfOneAlertFoldIntoOneObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(about("DiskFull", "warning"), about("DiskFull", "critical"))))
	require.Equal(t, http.StatusOK, w.post(f, "2", webhook(about("DiskFull", "critical"))))
	o := w.only()
	got, _ := foldedAlerts(t, o)
	require.Equal(t, []string{"DiskFull critical"}, got)
	require.EqualValues(t, 3, count(o))
	var audited []string
	for _, e := range w.audit(mapping.SignalDeduplicated) {
		audited = append(audited, fmt.Sprint(e.Data.SignalName, " ", e.Data.Severity))
	}
	require.Equal(t, []string{"DiskFull critical", "DiskFull critical"}, audited)
}

// The names of other alerts pass the CRD's own validation, however strange they
// are: a patch that the API server refuses would keep an alert from ever being
// settled.
func TestStrangeNamesOfAlertsThatFoldAreTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start("FINGERPRINT=resource")
	require.Equal(t, http.StatusOK, w.post(f, "0", webhook(about("PodSlow", "warning"))))
	strange := []string{
		strings.Repeat("x", 253), strings.Repeat("x", 254), strings.Repeat("<", 100_000), strings.Repeat("\U0001F525", 300), strings.Repeat("é", 253),
		strings.Repeat("\x00\x01\x7f", 200), "\u2028\ufffe\u0085", "\ta\n", " padded ", `"\'{}[]$ref`, "null", "true", "7", "__proto__", "../..", "\ufffd",
	}
	for i, name := range strange {
		severity := []string{"critical", "", strings.Repeat("s", 10_000), "\x00"}[i%4]
		require.Equal(t, http.StatusOK, w.post(f, fmt.Sprint("a", i), webhook(strangely(t, name, severity))), "%.40q", name)
	}
	o := w.only()
	got, _ := foldedAlerts(t, o)
	require.Len(t, got, len(strange))
	size, err := json.Marshal(o.Object)
	require.NoError(t, err)
	require.Less(t, len(size), 1<<20)
	require.EqualValues(t, 1+len(strange), count(o))
}

// strangely is an alert on the same pod with any alertname and severity.
func strangely(t testing.TB, alertname, severity string) string {
	text, err := json.Marshal(map[string]any{
		"status": "firing", "startsAt": "2026-01-17T12:00:00Z",
		"labels": map[string]string{"alertname": alertname, "namespace": "payments", "pod": "api-0", "severity": severity},
	})
	require.NoError(t, err)
	return string(text)
}
