package mapping

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatIsNoArrayHasNoElements(t *testing.T) {
	for text, want := range map[string]string{
		`7`: "it is not a JSON array", `{"a":1}`: "it is not a JSON array", ``: "it is not a JSON array",
		`[1,`: "element 1: ", `[1 2]`: "element 1: ", `[1`: "it has no end: ", `[1]2`: "there is more after its end", `[1],`: "there is more",
	} {
		_, err := Elements([]byte(text), 2)
		require.ErrorContains(t, err, want, text)
	}
	for _, row := range []struct {
		text string
		n    int
	}{{`[]`, 0}, {` [ 1 , "]" ]`, 2}} {
		all, err := Elements([]byte(row.text), 2)
		require.NoError(t, err)
		require.Len(t, all, row.n)
	}
	_, err := Elements([]byte(`[1,2,3]`), 2)
	require.ErrorIs(t, err, ErrTooMany)
}

func TestWhatIsNoNumberOfTruncatedAlertsIsNone(t *testing.T) {
	for text, want := range map[string]uint64{`3`: 3, `"3"`: 3, `99999999999999999999999`: 0, `-1`: 0, `"x"`: 0, `"1a"`: 0, `null`: 0} {
		n, err := Parse([]byte(`{"alerts":[{"labels":{"alertname":"A"}}],"truncatedAlerts":`+text+`}`), now)
		require.NoError(t, err)
		require.Equal(t, want, n.Truncated, text)
	}
	_, err := Parse([]byte(`{"alerts":[}`), now)
	require.ErrorIs(t, err, ErrNoAlerts)
	require.ErrorContains(t, err, "invalid character", "why it is no JSON")
	_, err = Parse([]byte(`{"alerts":7}`), now)
	require.ErrorIs(t, err, ErrNoAlerts)
	require.ErrorContains(t, err, "it is not a JSON array")
	require.Equal(t, "A", parseOne(t, `{"alerts":null,"labels":{"alertname":"A"}}`).Labels["alertname"], "null is no list")
}

// The forms of a kind, an API version and a name are checked at their bounds.
func TestFormsAtTheirBounds(t *testing.T) {
	long := strings.Repeat("x", 248)
	for text, want := range map[string]bool{"A": true, "Zone": true, "Z": true, "@A": false, "[A": false, "pod": false, "": false, "9a": false, "A9": true, "A-b": false,
		"A" + strings.Repeat("b", 62): true, "A" + strings.Repeat("b", 63): false} {
		require.Equal(t, want, isKind(text), text)
	}
	for text, want := range map[string]bool{"v1": true, "apps/v1": true, long + "xx/v1": true, long + "xxx/v1": false, "": false, "a/b/c": false, "a/": false, "/v1": false} {
		require.Equal(t, want, isAPIVersion(text), text)
	}
	for text, want := range map[string]bool{
		"a": true, "System:Node": true, "!": true, "~": true, "...": true, long + "xxxxx": true, long + "xxxxxx": false,
		"": false, ".": false, "..": false, "a b": false, " ": false, "\x7f": false, "é": false, "a/b": false, "a%b": false, "<a": false, "a>": false, "a\tb": false,
	} {
		require.Equal(t, want, isPathSegment(text), text)
	}
}

func TestANameThatIsNotThereWasNotRenamed(t *testing.T) {
	l := labels{values: map[string]string{"pod": "<no value>", "exported_namespace": "<no value>"}, names: &builtinNames}
	name, _, renamed := l.name(l.names.pod)
	require.Empty(t, name)
	require.False(t, renamed)
	namespace, renamed := l.namespace()
	require.Empty(t, namespace)
	require.False(t, renamed)
}

func TestTargetsThatNoOtherTestAsksFor(t *testing.T) {
	rules := parsed(t, `{a="b"} kind=Thing api_version=$version name=$n namespace=$ns`, "")
	require.Equal(t, Target{"example.com/v1", "Thing", "x", "shop"},
		rules.target(Alert{Labels: map[string]string{"a": "b", "version": "example.com/v1", "n": "x", "ns": "shop"}}).target)
	require.Equal(t, Target{"v1", "PersistentVolumeClaim", "data", "shop"}, targetOf(map[string]string{"exported_pvc": "data", "pvc": "other", "namespace": "shop"}))
	require.Equal(t, Target{"v1", "Pod", "p", "shop"}, parsed(t, "", " my_pod = Pod ").target(Alert{Labels: map[string]string{"my_pod": "p", "namespace": "shop"}}).target)
	const text = "my_pod=Pod,host=Node"
	further, err := ParseTargetLabels(text)
	require.NoError(t, err)
	require.Equal(t, text, further.String())

	// The machine is not known, and what else is there is no subject.
	unknown := Rules{}.target(Alert{Labels: map[string]string{"job": "node-exporter", "instance": "10.0.0.1:9100", "exported_service": "s", "namespace": "n"}})
	require.Equal(t, KindUnknown, unknown.target.Kind)

	resource := Rules{}.target(Alert{Labels: map[string]string{
		"job": "kube-state-metrics", "customresource_kind": "Widget", "customresource_group": "example.com", "customresource_version": "v1", "name": "w", "exported_namespace": "shop",
	}})
	require.Equal(t, aim{target: Target{"example.com/v1", "Widget", "w", "shop"}, chosen: "labels customresource_kind, name"}, resource)
}

func TestEachLabelThatIdentifiesNothingHereIsLeftOut(t *testing.T) {
	rules := Rules{Targets: Targets{Ignored: []string{"zone", "build"}}}
	of := func(zone, build string) Target {
		return rules.target(Alert{Labels: map[string]string{"alertname": "A", "zone": zone, "build": build}}).target
	}
	require.Equal(t, of("1", "1"), of("2", "1"))
	require.Equal(t, of("1", "1"), of("1", "2"))
}

// Texts in JSON that is kept are cleaned, whatever else is beside them.
func TestAllKindsOfValuesStayInAPayload(t *testing.T) {
	const flat = `{"a":true,"b":false,"c":null,"d":1.50,"e":[true,null,"x"],"f":{"g":false}}`
	require.JSONEq(t, flat, string(payload(json.RawMessage(flat))))
}

func TestLabelsThatIdentifyAreKeptBeforeAllOthers(t *testing.T) {
	for _, name := range []string{"alertname", "severity", "namespace", "pod", "node", "instance", "cluster"} {
		in := map[string]string{name: "kept"}
		for i := range maxLabels {
			in[fmt.Sprintf("a%03d", i)] = "x"
		}
		require.Equal(t, "kept", bounded(in, maxLabels, 10)[name], name)
	}
}

// A map is bounded in its names and values together.
func TestAMapHasItsSize(t *testing.T) {
	exact := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		exact[name] = strings.Repeat("v", maxMap/6-1)
	}
	require.Equal(t, exact, bounded(exact, 64, maxMap))
	exact["f"] += "v"
	require.Len(t, bounded(exact, 64, maxMap), 6, "the last one is left out, and that is said")
	require.Contains(t, bounded(exact, 64, maxMap)[cutKey], "1 entries left out")
	value := strings.Repeat("v", 1000)
	in := map[string]string{}
	for i := range 64 {
		in[fmt.Sprintf("%01000d", i)] = value
	}
	size := 0
	for k, v := range bounded(in, 64, 1000) {
		if k != cutKey {
			size += len(k) + len(v)
		}
	}
	require.LessOrEqual(t, size, maxMap)
	require.Greater(t, size, maxMap-2*1000, "no more is left out than must be")
}

// An audit event without an id keeps the alert's annotations all the same.
func TestAuditEventsWithoutIDsHaveTheAnnotations(t *testing.T) {
	s := Signal{Name: "A", Fingerprint: strings.Repeat("0", 64), Severity: High, Annotations: map[string]string{"summary": "s"}}
	for _, a := range (Rules{Schema: Schema202608}).Audit(s, Record{Decision: New, Request: "rr-1", Count: 1}, time.Unix(0, 0)) {
		require.Equal(t, s.Annotations, a.Data.SignalAnnotations)
	}
}

func TestAnAlertHasAsManyFieldsAsItMay(t *testing.T) {
	of := func(colons int) Alert {
		return parseAlert(json.RawMessage(`{"labels":{"alertname":"`+strings.Repeat(":", colons-2)+`"}}`), "", now)
	}
	require.Empty(t, of(maxFields).Problem)
	require.Contains(t, of(maxFields+1).Problem, "more than 25000")
}

func TestATextThatSpeaksOfAHashIsNotCut(t *testing.T) {
	require.False(t, Signal{Name: "5 bytes, sha256:0123 were lost"}.Cut())
	require.True(t, Signal{Name: cut(strings.Repeat("x", 1000), 100)}.Cut())
}

// The times of audit events have whole microseconds.
func TestAuditTimesAreMicroseconds(t *testing.T) {
	events := Rules{Schema: Schema202608}.Audit(Signal{Name: "A"}, Record{Decision: New, Request: "rr-1", Count: 1}, time.Unix(0, 3999))
	require.Equal(t, []int64{4000, 5000}, []int64{events[0].Timestamp.UnixNano(), events[1].Timestamp.UnixNano()})
}

func TestWhichBadNamesAreSaid(t *testing.T) {
	further, err := ParseTargetLabels("pod=Deployment")
	require.NoError(t, err)
	require.Equal(t, []string{"pod"}, Rules{Targets: Targets{Labels: further}}.BadNames(map[string]string{"pod": "A B"}), "it is said once")
	require.Equal(t, []string{"exported_service", "ingress", "namespace", "node", "statefulset"}, Rules{}.BadNames(map[string]string{
		"statefulset": "A B", "ingress": "A B", "node": "A B", "exported_service": "A B", "namespace": "a.b",
	}))
}

// No DataStorage stores a trial: it is of 1970, and its parent does not exist.
func TestATrialIsOfTheSchemaAndOfNothingElse(t *testing.T) {
	text, err := json.Marshal(Rules{Schema: Schema202608, Namespace: "ns"}.Trial())
	require.NoError(t, err)
	require.JSONEq(t, `{"version":"1.0","event_type":"gateway.crd.failed","event_category":"gateway","event_action":"failed","event_outcome":"failure",
		"event_timestamp":"1970-01-01T00:00:00Z","actor_id":"crd-creator","actor_type":"gateway","namespace":"ns","severity":"unknown",
		"correlation_id":"onefire-readiness","parent_event_id":"00000000-0000-4000-8000-000000000000",
		"resource_type":"RemediationRequest","resource_id":"`+strings.Repeat("0", 64)+`",
		"event_data":{"event_type":"gateway.crd.failed","signal_type":"alert","signal_name":"OnefireReadiness","namespace":"ns","severity":"unknown",
			"fingerprint":"`+strings.Repeat("0", 64)+`","resource_kind":"Unknown","resource_name":"onefire",
			"error_details":{"code":"ERR_INVALID_ALERT","component":"gateway","message":"a readiness probe: not stored","retry_possible":false}}}`, string(text))
}

// A payload is kept while both its own size and that of its clean form allow it.
func TestAPayloadHasItsSize(t *testing.T) {
	kept := func(raw string) bool { return !strings.HasSuffix(string(payload(json.RawMessage(raw))), payloadCut) }
	text := func(size int, rest string) string {
		return `{"a":"` + strings.Repeat("x", size-len(`{"a":""}`)-len(rest)) + rest + `"}`
	}
	require.True(t, kept(text(maxPayload, "")))
	require.False(t, kept(text(maxPayload+1, "")))
	require.False(t, kept(strings.Replace(text(maxPayload, ""), ":", ": ", 1)), "its clean form would fit")
	require.False(t, kept(`{"a":`+strings.Repeat(" ", maxPayload)+`1}`), "white space counts")
	require.True(t, kept(text(maxPayload-5, "<")), "its clean form has five bytes more")
	require.False(t, kept(text(maxPayload-4, "<")))
}

func TestEveryTextOfAPayloadIsClean(t *testing.T) {
	require.JSONEq(t, `{"a":["x","\ufffd",["\ufffd"]]}`, string(payload(json.RawMessage(`{"a":["x","\u202e",["\u202e"]]}`))))
	nested := func(arrays int) json.RawMessage {
		return json.RawMessage(`{"a":` + strings.Repeat("[", arrays) + strings.Repeat("]", arrays) + `}`)
	}
	require.JSONEq(t, string(nested(maxPayloadDepth-1)), string(payload(nested(maxPayloadDepth-1))))
	require.True(t, strings.HasSuffix(string(payload(nested(maxPayloadDepth))), payloadCut))
}

func TestTextsWithinTexts(t *testing.T) {
	require.Contains(t, jsonText(map[string]any{"a": "<&>"}), "<&>")
	for text, want := range map[string]int{`1`: 0, `[[],[]]`: 2, `[{},{}]`: 2, `{"a":{},"b":[]}`: 2, `["[[","\"[["]`: 1} {
		require.Equal(t, want, nesting(json.RawMessage(text)), text)
	}
}

func TestEveryWorkloadHasItsKind(t *testing.T) {
	for workload, kind := range map[string]Target{
		"deployment": {"apps/v1", "Deployment", "w", "n"}, "statefulset": {"apps/v1", "StatefulSet", "w", "n"}, "daemonset": {"apps/v1", "DaemonSet", "w", "n"},
		"job": {"batch/v1", "Job", "w", "n"}, "replicaset": {"apps/v1", "ReplicaSet", "w", "n"}, "cronjob": {"batch/v1", "CronJob", "w", "n"},
	} {
		require.Equal(t, kind, targetOf(map[string]string{"workload": "w", "workload_type": workload, "namespace": "n"}))
	}
	require.Equal(t, Target{"v1", "Namespace", "shop", ""}, parsed(t, "", "team=Namespace").target(Alert{Labels: map[string]string{"team": "shop", "namespace": "n"}}).target)
}

func TestEachExporterIsKnownByEachOfItsLabels(t *testing.T) {
	for text, want := range map[string]reporter{
		"kube-state-metrics": kubeStateMetrics, "kube_state_metrics": kubeStateMetrics, "node-exporter": nodeExporter, "node_exporter": nodeExporter,
		"windows-exporter": nodeExporter, "windows_exporter": nodeExporter, "kubelet": kubelet, "cadvisor": kubelet, "postgres": anyExporter, "": anyExporter,
	} {
		for _, label := range []string{"job", "app_kubernetes_io_name", "service", "metrics_path", "container"} {
			require.Equal(t, want, labels{values: map[string]string{label: text}}.reporter(), "%s=%s", label, text)
		}
	}
	require.Equal(t, kubelet, labels{values: map[string]string{"job": "kubelet", "container": "node-exporter"}}.reporter(), "the surest one first")
}
