package function

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/dedup"
	"onefire/mapping"
)

// toldDedup keeps what it was told of the last settlement.
type toldDedup struct {
	fakeDedup
	keys    []string
	signals map[string]mapping.Signal
}

func (d *toldDedup) Settle(ctx context.Context, s mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]dedup.Outcome, error) {
	d.keys, d.signals = keys, signals
	return d.fakeDedup.Settle(ctx, s, keys, signals)
}

func TestTwoAlertsThatSettleTogetherAreToldApart(t *testing.T) {
	f := newFixture()
	told := &toldDedup{}
	f.service.pipeline.requests = told
	x, y := alert("firing", "alertname=A", "pod=p", "container=x"), alert("firing", "alertname=A", "pod=p", "container=y")
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(x))))
	require.Nil(t, told.signals, "one is told by its signal alone")
	requireStatus(t, http.StatusOK, f.serve(binary("2", webhook(x, y))))
	require.Len(t, told.signals, 2)
}

// Alerts of one resource are settled together, and each stays itself: in what the
// object is told of it, and in its audit.
func TestAlertsThatFoldIntoOneObjectKeepTheirNamesAndSeverities(t *testing.T) {
	type named struct {
		event, name string
		severity    mapping.Severity
		labels      string
		status      string
	}
	for _, schema := range []mapping.Schema{mapping.Schema202601, mapping.Schema202608} {
		t.Run(string(schema), func(t *testing.T) {
			f := newFixture()
			told := &toldDedup{}
			f.service.pipeline.requests = told
			f.service.pipeline.rules.Fingerprint, f.service.pipeline.rules.Schema = mapping.ByResource, schema
			alerts := []string{
				alert("firing", "alertname=PodSlow", "namespace=n", "pod=p", "severity=info"),
				alert("firing", "alertname=PodDown", "namespace=n", "pod=p", "severity=critical"),
				alert("firing", "alertname=PodSlow", "namespace=n", "pod=p", "severity=warning"),
			}
			requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alerts...))))
			require.Len(t, told.keys, 3)
			var settled []named
			for _, key := range told.keys {
				settled = append(settled, named{name: told.signals[key].Name, severity: told.signals[key].Severity})
			}
			require.Equal(t, []named{{name: "PodSlow", severity: mapping.Low}, {name: "PodDown", severity: mapping.Critical}, {name: "PodSlow", severity: mapping.High}}, settled)

			var audited []named
			for _, e := range f.sink.events {
				a := e.Data.(mapping.AuditRequest)
				require.Equal(t, a.Severity, a.Data.Severity)
				require.Contains(t, string(a.Data.OriginalPayload), `"severity":"`+a.Data.SignalLabels["severity"]+`"`)
				audited = append(audited, named{a.EventType, a.Data.AlertName + a.Data.SignalName, a.Severity, a.Data.SignalLabels["alertname"] + " " + a.Data.SignalLabels["severity"], a.Data.DeduplicationStatus})
			}
			require.ElementsMatch(t, []named{
				{mapping.SignalReceived, "PodSlow", mapping.Low, "PodSlow info", "new"},
				{mapping.RequestCreated, "PodSlow", mapping.Low, "PodSlow info", "new"},
				{mapping.SignalDeduplicated, "PodDown", mapping.Critical, "PodDown critical", "duplicate"},
				{mapping.SignalDeduplicated, "PodSlow", mapping.High, "PodSlow warning", "duplicate"},
			}, audited)
		})
	}
}
