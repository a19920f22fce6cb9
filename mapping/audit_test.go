package mapping

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// request is the name of the RemediationRequest in these tests.
const request = "rr-0123456789ab-89abcdef"

// decided is when the decisions were made, in a zone that must not show.
var decided = time.Date(2026, 11, 23, 8, 0, 0, 123456789, time.FixedZone("CET", 3600))

// requireGolden compares what would be posted with testdata/audit.
func requireGolden(t *testing.T, name string, requests []AuditRequest) {
	t.Helper()
	got, err := json.MarshalIndent(requests, "", "  ")
	require.NoError(t, err)
	got = append(got, '\n')
	file := filepath.Join("testdata", "audit", name+".json")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestAuditPayloads(t *testing.T) {
	first, err := Parse(captured(t)["am0.34.0-first.json"], now)
	require.NoError(t, err)
	for name, row := range map[string]struct {
		alert  Alert
		record Record
	}{
		"new": {first.Alerts[0], Record{Decision: New, Request: request, Count: 1}},
		"duplicate": {
			parseOne(t, `{"labels":{"alertname":"KubeNodeNotReady","node":"n1","namespace":"monitoring","cluster":"eu-1","severity":"page"}}`),
			Record{Decision: Duplicate, Request: request, Count: 2}},
		"failure": {
			parseOne(t, `{"alerts":[{"annotations":{"summary":"nobody knows what"}}]}`),
			Record{Decision: Invalid, Failure: &Failure{Code: "ERR_INVALID_ALERT", Message: "not an alert: it has no labels"}}},
	} {
		for _, schema := range []Schema{Schema202601, Schema202608} {
			t.Run(string(schema)+"-"+name, func(t *testing.T) {
				rules := Rules{Schema: schema, Namespace: "remediation", ClusterLabel: "cluster"}
				s, err := rules.Signal(row.alert, now)
				require.Equal(t, row.record.Failure != nil, err != nil)
				row.record.ID = func(eventType string) string { return "id of " + eventType }
				requireGolden(t, string(schema)+"-"+name, rules.Audit(s, row.record, decided))
			})
		}
	}
}

func TestAuditEventsOfADecision(t *testing.T) {
	failure := &Failure{Code: "ERR_K8S_FORBIDDEN", Message: "no"}
	for reason, row := range map[string]struct {
		record Record
		want   []string
	}{
		"a new one has two":   {Record{Decision: New, Request: request, Count: 1}, []string{SignalReceived, RequestCreated}},
		"a duplicate has one": {Record{Decision: Duplicate, Request: request, Count: 2}, []string{SignalDeduplicated}},
		"a failure has one":   {Record{Decision: Invalid, Failure: failure}, []string{RequestFailed}},
	} {
		t.Run(reason, func(t *testing.T) {
			requests := Rules{Schema: Schema202601}.Audit(Signal{Namespace: "ops"}, row.record, decided)
			var got []string
			for _, r := range requests {
				got = append(got, r.EventType)
				require.Equal(t, r.EventType, r.Data.EventType, "event_data is discriminated by it")
				require.Equal(t, row.record.Count, r.Data.OccurrenceCount)
			}
			require.Equal(t, row.want, got)
		})
	}
}

func TestCorrelationID(t *testing.T) {
	s := Signal{Fingerprint: strings.Repeat("f", 64), Namespace: "ops"}
	for reason, row := range map[string]struct {
		record Record
		want   string
	}{
		"the RemediationRequest's name":          {Record{Decision: New, Request: request}, request},
		"of a duplicate too":                     {Record{Decision: Duplicate, Request: request}, request},
		"the fingerprint where none can be made": {Record{Decision: Invalid, Failure: &Failure{}}, s.Fingerprint},
	} {
		t.Run(reason, func(t *testing.T) {
			for _, r := range (Rules{}).Audit(s, row.record, decided) {
				require.Equal(t, row.want, r.CorrelationID)
			}
		})
	}
}

func TestAuditNamespace(t *testing.T) {
	for reason, row := range map[string]struct {
		target Target
		want   string
	}{
		"the subject's own": {Target{Kind: "Pod", Name: "p", Namespace: "payments"}, "payments"},
		"a cluster-scoped one is filed where its RemediationRequest is": {Target{Kind: "Node", Name: "n"}, "ops"},
	} {
		t.Run(reason, func(t *testing.T) {
			s := Signal{Target: row.target, Namespace: "ops"}
			for _, r := range (Rules{}).Audit(s, Record{Decision: New, Request: request}, decided) {
				require.Equal(t, row.want, r.Data.Namespace)
				require.Equal(t, "ops", r.Namespace)
				require.Equal(t, "ops/"+request, r.Data.RemediationRequest)
			}
		})
	}
}

func TestResourceOfAnAuditEvent(t *testing.T) {
	s := Signal{Fingerprint: strings.Repeat("f", 64), Namespace: "ops"}
	requests := Rules{}.Audit(s, Record{Decision: New, Request: request, Count: 1}, decided)
	require.Equal(t, "Signal", requests[0].ResourceType)
	require.Equal(t, s.Fingerprint, requests[0].ResourceID)
	require.Equal(t, "RemediationRequest", requests[1].ResourceType)
	require.Equal(t, "ops/"+request, requests[1].ResourceID)
}

func TestFailureIsBoundedAndFinal(t *testing.T) {
	failure := &Failure{Code: "ERR_K8S_INVALID", Message: strings.Repeat("m\x00", maxErrorText)}
	requests := Rules{}.Audit(Signal{}, Record{Decision: Invalid, Failure: failure}, decided)
	require.Len(t, requests, 1)
	details := requests[0].Data.ErrorDetails
	require.NoError(t, textBroken("message", details.Message, maxErrorText))
	require.Equal(t, "ERR_K8S_INVALID", details.Code)
	require.False(t, details.RetryPossible, "what may succeed later is no failure yet")
	require.Empty(t, requests[0].Data.DeduplicationStatus, "the contract knows new and duplicate only")
	require.Equal(t, "unknown", requests[0].Data.AlertName, "the contract requires a name")
}

func TestSignalType(t *testing.T) {
	require.Equal(t, "prometheus-alert", Schema202601.SignalType())
	require.Equal(t, "alert", Schema202608.SignalType())
}

// DataStorage accepts an event whose severity is longer than its column, and never
// stores it.
func TestASeverityFitsTheColumnOfDataStorage(t *testing.T) {
	rules := Rules{Schema: Schema202608, Namespace: "remediation", Severity: SeverityRaw}
	s, err := rules.Signal(parseOne(t, `{"labels":{"alertname":"A","severity":"wake up the colleagues in élysée"}}`), now)
	require.NoError(t, err)
	a := rules.Audit(s, Record{Decision: Duplicate, Request: request, Count: 2}, decided)[0]
	require.EqualValues(t, "wake up the colleagu", a.Severity)
	require.EqualValues(t, "wake up the colleagues in élysée", a.Data.Severity)
	require.EqualValues(t, "é", Severity("éé").within(3), "cut at a whole character")
}
