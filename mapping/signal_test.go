package mapping

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func signalOf(t testing.TB, rules Rules, labels map[string]string) Signal {
	t.Helper()
	s, err := rules.Signal(Alert{Labels: labels}, now)
	require.NoError(t, err)
	return s
}

func TestFingerprint(t *testing.T) {
	long := strings.Repeat("x", 2*maxName)
	for reason, row := range map[string]struct {
		labels              map[string]string
		byAlert, byResource string
	}{
		"a pod": {
			map[string]string{"alertname": "Crash", "namespace": "payments", "pod": "api-0", "severity": "warning"},
			"Crash:payments:Pod:api-0", "payments:Pod:api-0"},
		"a node has no namespace": {
			map[string]string{"alertname": "NotReady", "namespace": "monitoring", "node": "n1"},
			"NotReady::Node:n1", ":Node:n1"},
		"a cluster stands before either": {
			map[string]string{"alertname": "Crash", "namespace": "payments", "pod": "api-0", "cluster": "eu-1"},
			"eu-1:Crash:payments:Pod:api-0", "eu-1:payments:Pod:api-0"},
		"an empty cluster is none": {
			map[string]string{"alertname": "Crash", "namespace": "payments", "pod": "api-0", "cluster": ""},
			"Crash:payments:Pod:api-0", "payments:Pod:api-0"},
		"no object: the name is Alertmanager's fingerprint of what stays the same": {
			map[string]string{"alertname": "Trunc", "case": "trunc", "instance": "node-01", "severity": "critical"},
			"Trunc::Unknown:73b42113e7005477", ":Unknown:73b42113e7005477"},
		"the subject's namespace, not the exporter's": {
			map[string]string{"alertname": "Crash", "namespace": "monitoring", "exported_namespace": "payments", "deployment": "api"},
			"Crash:payments:Deployment:api", "payments:Deployment:api"},
		"full texts go in, whatever the signal cuts": {
			map[string]string{"alertname": long, "namespace": "payments", "pod": "api-0", "cluster": long},
			long + ":" + long + ":payments:Pod:api-0", long + ":payments:Pod:api-0"},
		"no text is changed by cleaning": {
			map[string]string{"alertname": "a\x00\xff", "pod": "p"},
			"a\x00\xff::Pod:p", ":Pod:p"},
	} {
		t.Run(reason, func(t *testing.T) {
			for mode, text := range map[FingerprintMode]string{ByAlert: row.byAlert, "": row.byAlert, ByResource: row.byResource} {
				want := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
				require.Equal(t, want, signalOf(t, Rules{Fingerprint: mode, ClusterLabel: "cluster"}, row.labels).Fingerprint, "mode %q", mode)
			}
		})
	}
}

func TestAnAlertOfThisClusterIsTheSameAsOneWithoutTheLabel(t *testing.T) {
	rules := func(mode FingerprintMode) Rules {
		return Rules{Fingerprint: mode, ClusterLabel: "k8s", ClusterName: "eu-1", Namespace: "ops", Schema: Schema202608}
	}
	for reason, labels := range map[string]map[string]string{
		"about an object":   {"alertname": "Crash", "namespace": "payments", "pod": "api-0"},
		"without an object": {"alertname": "Slow", "url": "https://shop"},
	} {
		for _, mode := range []FingerprintMode{ByAlert, ByResource} {
			t.Run(reason+" "+string(mode), func(t *testing.T) {
				with := func(cluster string) Signal {
					all := maps.Clone(labels)
					all["k8s"] = cluster
					return signalOf(t, rules(mode), all)
				}
				own, other := with("eu-1"), with("eu-2")
				require.Equal(t, signalOf(t, rules(mode), labels).Fingerprint, own.Fingerprint)
				require.Equal(t, signalOf(t, rules(mode), labels).Target, own.Target)
				require.Empty(t, own.Cluster)
				require.Equal(t, "eu-1", own.Labels["k8s"], "the label itself stays")
				require.Equal(t, "eu-2", other.Cluster)
				require.NotEqual(t, own.Fingerprint, other.Fingerprint)
				for _, e := range rules(mode).Audit(own, Record{Decision: New, Request: request, Count: 1}, now) {
					require.Empty(t, e.ClusterID+e.ClusterName)
				}
				aimed := rules(mode).Aim(own, Alert{Labels: own.Labels}, Target{Kind: "Node", Name: "n1"})
				without := rules(mode).Aim(own, Alert{Labels: labels}, Target{Kind: "Node", Name: "n1"})
				require.Equal(t, without.Fingerprint, aimed.Fingerprint, "another target changes nothing")
			})
		}
	}
}

func TestWithoutAClustersLabelItsNameMeansNothing(t *testing.T) {
	labels := map[string]string{"alertname": "Slow", "": "eu-1", "cluster": "eu-1"}
	require.Equal(t, signalOf(t, Rules{Namespace: "ops"}, labels), signalOf(t, Rules{Namespace: "ops", ClusterName: "eu-1"}, labels))
}

func TestFingerprintIsTheSameAcrossReleases(t *testing.T) {
	// These came from sha256sum. A change would make a second
	// RemediationRequest for every alert that fires during an upgrade.
	labels := map[string]string{"alertname": "KubePodCrashLooping", "namespace": "payments", "pod": "api-0"}
	require.Equal(t, "1f8f4c1bf88d6872aa7fea50e20f2ad7b9a8fe06ea7b6f191122c9c54e473251", signalOf(t, Rules{Fingerprint: ByAlert}, labels).Fingerprint)
	require.Equal(t, "e5704a14e3cadbe0baa7f3eb830d193c9f97350d9701ef98e190f8d8adbdbd0a", signalOf(t, Rules{Fingerprint: ByResource}, labels).Fingerprint)
}

func TestWhatCountsAsTheSame(t *testing.T) {
	base := map[string]string{"alertname": "Crash", "namespace": "payments", "pod": "api-0", "severity": "warning", "container": "a"}
	with := func(label, value string) map[string]string {
		out := map[string]string{label: value}
		for k, v := range base {
			if k != label {
				out[k] = v
			}
		}
		return out
	}
	for reason, row := range map[string]struct {
		labels              map[string]string
		byAlert, byResource bool
	}{
		"a severity that rises":  {with("severity", "critical"), true, true},
		"another container":      {with("container", "b"), true, true},
		"a label more":           {with("prometheus", "monitoring/k8s"), true, true},
		"another alertname":      {with("alertname", "OOM"), false, true},
		"another pod":            {with("pod", "api-1"), false, false},
		"another namespace":      {with("namespace", "web"), false, false},
		"another cluster":        {with("cluster", "eu-1"), false, false},
		"another kind of object": {with("deployment", "api-0"), false, false},
	} {
		t.Run(reason, func(t *testing.T) {
			for mode, same := range map[FingerprintMode]bool{ByAlert: row.byAlert, ByResource: row.byResource} {
				rules := Rules{Fingerprint: mode, ClusterLabel: "cluster"}
				got := signalOf(t, rules, row.labels).Fingerprint == signalOf(t, rules, base).Fingerprint
				require.Equal(t, same, got, "mode %q", mode)
			}
		})
	}
}

func TestPlacement(t *testing.T) {
	for reason, row := range map[string]struct {
		placement Placement
		labels    map[string]string
		want      string
	}{
		"fixed: always the same":                    {PlacementFixed, map[string]string{"pod": "p", "namespace": "payments"}, "ops"},
		"signal: the alert's own":                   {PlacementSignal, map[string]string{"pod": "p", "namespace": "payments"}, "payments"},
		"signal: the subject's, not the exporter's": {PlacementSignal, map[string]string{"pod": "p", "namespace": "monitoring", "exported_namespace": "payments"}, "payments"},
		"signal: Unknown has a namespace too":       {PlacementSignal, map[string]string{"namespace": "payments"}, "payments"},
		"signal: a node has none":                   {PlacementSignal, map[string]string{"node": "n", "namespace": "monitoring"}, "ops"},
		"signal: no namespace":                      {PlacementSignal, map[string]string{"pod": "p"}, "ops"},
		"signal: upper case is no namespace":        {PlacementSignal, map[string]string{"pod": "p", "namespace": "Payments"}, "ops"},
		"signal: a path is no namespace":            {PlacementSignal, map[string]string{"pod": "p", "namespace": "../kube-system"}, "ops"},
		"signal: a namespace is at most 63 long":    {PlacementSignal, map[string]string{"pod": "p", "namespace": strings.Repeat("n", 64)}, "ops"},
		"signal: 63 is not too long":                {PlacementSignal, map[string]string{"pod": "p", "namespace": strings.Repeat("n", 63)}, strings.Repeat("n", 63)},
		"signal: control characters":                {PlacementSignal, map[string]string{"pod": "p", "namespace": "pay\x00ments"}, "ops"},
	} {
		t.Run(reason, func(t *testing.T) {
			row.labels["alertname"] = "A"
			s := signalOf(t, Rules{Placement: row.placement, Namespace: "ops"}, row.labels)
			require.Equal(t, row.want, s.Namespace)
		})
	}
}

func TestIgnored(t *testing.T) {
	rules := Rules{IgnoreAlerts: []string{"Watchdog", "InfoInhibitor"}, IgnoreSeverities: []string{"none", "team a"}}
	for reason, row := range map[string]struct {
		rules  Rules
		labels map[string]string
		want   Reason
	}{
		"by alertname":                         {rules, map[string]string{"alertname": "Watchdog", "severity": "critical"}, IgnoredAlertname},
		"by severity":                          {rules, map[string]string{"alertname": "A", "severity": "none"}, IgnoredSeverity},
		"by both: the alertname is the reason": {rules, map[string]string{"alertname": "Watchdog", "severity": "none"}, IgnoredAlertname},
		"a severity without case and spaces":   {rules, map[string]string{"alertname": "A", "severity": " NONE\n"}, IgnoredSeverity},
		"the severity's text, not its meaning": {rules, map[string]string{"alertname": "A", "severity": "info"}, 0},
		"an alertname has case":                {rules, map[string]string{"alertname": "watchdog", "severity": "critical"}, 0},
		"part of an alertname is not it":       {rules, map[string]string{"alertname": "Watchdogs", "severity": "critical"}, 0},
		"no severity is not none":              {rules, map[string]string{"alertname": "A"}, 0},
		"no severity is not the empty text":    {Rules{IgnoreSeverities: []string{""}}, map[string]string{"alertname": "A"}, 0},
		"no filters":                           {Rules{}, map[string]string{"alertname": "Watchdog", "severity": "none"}, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			got, ignored := row.rules.Ignored(Alert{Labels: row.labels})
			require.Equal(t, row.want, got)
			require.Equal(t, row.want != 0, ignored)
		})
	}
}

func TestNoAlertnameIsAnErrorThatKeepsWhatIsKnown(t *testing.T) {
	for reason, labels := range map[string]map[string]string{
		"absent": {"pod": "api-0", "namespace": "payments", "severity": "page"},
		"empty":  {"pod": "api-0", "namespace": "payments", "severity": "page", "alertname": ""},
		"spaces": {"pod": "api-0", "namespace": "payments", "severity": "page", "alertname": " \t "},
	} {
		t.Run(reason, func(t *testing.T) {
			s, err := Rules{Namespace: "ops"}.Signal(Alert{Labels: labels}, now)
			require.ErrorIs(t, err, ErrNoAlertname)
			require.Equal(t, Target{"v1", "Pod", "api-0", "payments"}, s.Target)
			require.Equal(t, Critical, s.Severity)
			require.Equal(t, "ops", s.Namespace)
			require.Len(t, s.Fingerprint, 64)
		})
	}
}

func TestSignalOfACapturedAlert(t *testing.T) {
	n, err := Parse(captured(t)["am0.34.0-first.json"], now)
	require.NoError(t, err)
	a := n.Alerts[0]
	s, err := Rules{Namespace: "ops"}.Signal(a, now)
	require.NoError(t, err)
	require.Equal(t, Signal{
		Fingerprint: fmt.Sprintf("%x", sha256.Sum256([]byte("KubePodCrashLooping:payments:Pod:api-1"))),
		Name:        "KubePodCrashLooping",
		Severity:    High,
		Target:      Target{"v1", "Pod", "api-1", "payments"},
		Chosen:      "label pod",
		AlertID:     "99df87ba41056155", // Alertmanager itself sent it.
		Namespace:   "ops",
		Labels:      a.Labels,
		Annotations: a.Annotations,
		FiringAt:    a.StartsAt,
		SaidAt:      now,
		Payload:     s.Payload,
	}, s, "an ordinary alert passes whole")
}

func TestAnAlertIsToldFromOthersByWhatItsSignalKeepsOfItsLabels(t *testing.T) {
	long := func(end string) Alert {
		return Alert{Labels: map[string]string{"alertname": "A", "query": strings.Repeat("x", 2*maxLabelValue) + end}}
	}
	var seen []string
	for _, a := range []Alert{long("1"), long("2"), {Labels: map[string]string{"alertname": "A", "pod": "p\x00"}}, {Labels: map[string]string{"alertname": "A", "pod": "p"}}} {
		s, err := Rules{Namespace: "ops"}.Signal(a, now)
		require.NoError(t, err)
		require.Equal(t, LabelsID(s.Labels), s.AlertID, "whoever reads the object can compute it")
		require.NotContains(t, seen, s.AlertID)
		seen = append(seen, s.AlertID)
	}
}

func TestAnEndIsBetweenTheAlertsStartAndItsEvent(t *testing.T) {
	start, end := now.Add(-time.Hour), now.Add(-time.Minute)
	for reason, row := range map[string]struct {
		alert Alert
		want  time.Time
	}{
		"an alert that fires has none":    {Alert{StartsAt: start, EndsAt: end}, time.Time{}},
		"the alert's own":                 {Alert{Resolved: true, StartsAt: start, EndsAt: end}, end},
		"without a start":                 {Alert{Resolved: true, EndsAt: end}, end},
		"without an end, the event's":     {Alert{Resolved: true, StartsAt: start}, now},
		"one that is still ahead":         {Alert{Resolved: true, StartsAt: start, EndsAt: now.Add(time.Hour)}, now},
		"one before the start":            {Alert{Resolved: true, StartsAt: end, EndsAt: start}, end},
		"a start that is still ahead too": {Alert{Resolved: true, StartsAt: now.Add(time.Hour), EndsAt: start}, now},
	} {
		t.Run(reason, func(t *testing.T) {
			row.alert.Labels = map[string]string{"alertname": "A"}
			s, err := Rules{Namespace: "ops"}.Signal(row.alert, now)
			require.NoError(t, err)
			require.Equal(t, row.want, s.EndedAt)
			require.Equal(t, now, s.SaidAt)
		})
	}
}

func TestAnUndatedSignalSaysWhatTheAlertSays(t *testing.T) {
	start, end := now.Add(-time.Hour), now.Add(-time.Minute)
	for reason, row := range map[string]struct {
		alert Alert
		want  time.Time
	}{
		"an alert that fires":                     {Alert{StartsAt: start}, start},
		"one that ended":                          {Alert{Resolved: true, StartsAt: start, EndsAt: end}, end},
		"without a start, when it was read":       {Alert{}, now},
		"with a start ahead, too":                 {Alert{StartsAt: now.Add(time.Hour)}, now},
		"one that ended at a time nobody can say": {Alert{Resolved: true, StartsAt: start}, now},
	} {
		t.Run(reason, func(t *testing.T) {
			row.alert.Labels = map[string]string{"alertname": "A"}
			s, err := Rules{Namespace: "ops"}.Signal(row.alert, now)
			require.NoError(t, err)
			require.Equal(t, row.want, s.Undated().SaidAt)
		})
	}
}

func TestAnotherTargetIsAsIfTheLabelsHadNamedIt(t *testing.T) {
	alert := func(labels ...string) Alert {
		a := Alert{Labels: map[string]string{"alertname": "A", "namespace": "shop", "cluster": "eu-1"}}
		for i := 0; i < len(labels); i += 2 {
			a.Labels[labels[i]] = labels[i+1]
		}
		return a
	}
	for name, rules := range map[string]Rules{
		"by alert":              {Fingerprint: ByAlert, Namespace: "ops"},
		"by resource":           {Fingerprint: ByResource, Namespace: "ops"},
		"in its own namespace":  {Fingerprint: ByAlert, Placement: PlacementSignal, Namespace: "ops"},
		"as the newer contract": {Schema: Schema202608, Namespace: "ops"},
	} {
		t.Run(name, func(t *testing.T) {
			a := alert("pod", "api-1")
			s, err := rules.Signal(a, now)
			require.NoError(t, err)
			want, err := rules.Signal(alert("deployment", "api"), now)
			require.NoError(t, err)
			got := rules.Aim(s, a, want.Target)
			require.Equal(t, want.Fingerprint, got.Fingerprint)
			require.Equal(t, want.Target, got.Target)
			require.Equal(t, want.Namespace, got.Namespace)
			require.Equal(t, s.Labels, got.Labels, "what the alert said stays")
			require.Equal(t, s, rules.Aim(s, a, s.Target), "the same target changes nothing")
		})
	}
	long := Rules{}.Aim(Signal{}, alert(), Target{APIVersion: strings.Repeat("a", 1000), Kind: strings.Repeat("K", 1000), Name: strings.Repeat("n", 1000)})
	for _, text := range []string{long.Target.APIVersion, long.Target.Kind, long.Target.Name} {
		require.LessOrEqual(t, len(text), maxName)
	}
}
