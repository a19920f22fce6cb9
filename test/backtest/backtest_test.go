package backtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// repeat is Alertmanager's repeat_interval.
const repeat = 4 * time.Hour

// burns is a month of alerts that ends at a time.
func burns(end time.Time) []burn {
	begin := end.Add(-29 * 24 * time.Hour)
	var all []burn
	add := func(start, length time.Duration, labels ...string) {
		b := burn{map[string]string{}, begin.Add(start), begin.Add(start + length)}
		for _, l := range labels {
			name, value, _ := strings.Cut(l, "=")
			b.labels[name] = value
		}
		all = append(all, b)
	}
	const day = 24 * time.Hour
	add(0, 29*day, "alertname=Watchdog", "severity=none")
	add(day, day, "alertname=QuotaLow", "severity=none", "namespace=shop", "deployment=api")
	// Two targets, and one of them again after its end, across midnight.
	crash := func(pod string) []string {
		return []string{"alertname=KubePodCrashLooping", "severity=warning", "namespace=shop", "pod=" + pod, "container=api"}
	}
	add(2*day, 30*time.Minute, crash("api-0")...)
	add(2*day+10*time.Minute, 3*time.Hour, crash("api-1")...)
	add(3*day, 9*time.Hour, crash("api-0")...)
	add(9*day-time.Hour, 3*time.Hour, crash("api-1")...)
	// A pause that Alertmanager does not see: it is one fire.
	add(12*day, time.Hour, crash("api-0")...)
	add(12*day+time.Hour+3*time.Minute, time.Hour, crash("api-0")...)
	// Two label sets on one target: overlapping, then one after the other, then
	// one that burns on from the other.
	wait := func(container string) []string {
		return []string{"alertname=KubeContainerWaiting", "severity=warning", "namespace=shop", "pod=api-0", "container=" + container}
	}
	add(4*day, 5*time.Hour, wait("api")...)
	add(4*day+time.Hour, 8*time.Hour, wait("proxy")...)
	add(5*day, time.Hour, wait("api")...)
	add(5*day+2*time.Hour, time.Hour, wait("proxy")...)
	add(6*day, time.Hour, wait("api")...)
	add(6*day+time.Hour, time.Hour, wait("proxy")...)
	// No Kubernetes object, two machines.
	add(7*day, 5*time.Hour, "alertname=HostDown", "severity=critical", "instance=10.0.0.1:9100", "job=hosts")
	add(7*day, 10*time.Minute, "alertname=HostDown", "severity=critical", "instance=10.0.0.2:9100", "job=hosts")
	// Another rule on a target that has alerts already.
	add(4*day+30*time.Minute, 2*time.Hour, "alertname=PodSlow", "severity=info", "namespace=shop", "pod=api-0")
	add(20*day, 4*day, "alertname=DeploymentReplicas", "severity=page", "namespace=shop", "deployment=api")
	return all
}

// counts are what a rule comes to, by the backtest or by posting its alerts.
type counts struct {
	LabelSets, Fires, Objects, Repeats, Filtered int
}

// target is what an object or a rule's row is aimed at.
type target struct{ APIVersion, Kind, Name, Namespace string }

type report struct {
	Rules []struct {
		counts
		Alertname string
		Targets   []target
	}
	Total    counts
	Findings []struct {
		Alertname, Finding, Text string
		Labels, FoldsWith        []string
		Targets                  []target
	}
}

// backtest runs the backtest on a Prometheus.
func backtest(t *testing.T, url string, environment []string, arguments ...string) (code int, out, problems string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), functionBinary, append([]string{"explain", "-prometheus", url}, arguments...)...)
	command.Env = append(os.Environ(), environment...)
	var o, e bytes.Buffer
	command.Stdout, command.Stderr = &o, &e
	if err := command.Run(); err != nil {
		require.NotNil(t, command.ProcessState, "%v", err)
	}
	// On a slow machine it says how far it is.
	lines := slices.DeleteFunc(strings.SplitAfter(e.String(), "\n"), func(line string) bool { return strings.HasPrefix(line, "onefire: read up to ") })
	return command.ProcessState.ExitCode(), o.String(), strings.Join(lines, "")
}

// TestABacktestSaysWhatPostingTheSameAlertsMakes fills a Prometheus, asks the
// backtest for what would have been made, and then posts each notification of
// that history to the function, in the order of time.
func TestABacktestSaysWhatPostingTheSameAlertsMakes(t *testing.T) {
	url := prometheus(t)
	all := burns(time.Now().Truncate(evaluation).Add(-10 * time.Minute))
	fill(t, url, all)
	for _, fingerprint := range []string{"alert", "resource"} {
		t.Run(fingerprint, func(t *testing.T) {
			w := newWorld(t, "backtest-"+fingerprint, "FINGERPRINT="+fingerprint)
			code, out, problems := backtest(t, url, w.environment, "-since", "30d", "-repeat-interval", repeat.String(), "-o", "json")
			require.Zero(t, code, problems)
			require.Empty(t, problems)
			var said report
			require.NoError(t, json.Unmarshal([]byte(out), &said))

			w.live(fires(all))
			got, targets := map[string]counts{}, map[string][]target{}
			for _, r := range said.Rules {
				got[r.Alertname] = r.counts
				targets[r.Alertname] = r.Targets
			}
			require.Equal(t, w.made, got)
			w.requireObjects(targets)

			total := counts{}
			for _, c := range w.made {
				total = counts{total.LabelSets + c.LabelSets, total.Fires + c.Fires, total.Objects + c.Objects, total.Repeats + c.Repeats, total.Filtered + c.Filtered}
			}
			require.Equal(t, total, said.Total)
			require.Positive(t, total.Objects)
			require.Greater(t, total.Repeats, 20, "there was something to count")
			var findings []string
			for _, f := range said.Findings {
				findings = append(findings, fmt.Sprintf("%s %s %v%v", f.Finding, f.Alertname, f.Labels, f.FoldsWith))
			}
			require.Equal(t, map[string][]string{
				"alert": {"noObject HostDown [][]", "folds KubeContainerWaiting [container][]"},
				"resource": {"noObject HostDown [][]", "folds KubeContainerWaiting [container][PodSlow]",
					"folds PodSlow [][KubeContainerWaiting]"},
			}[fingerprint], findings)
		})
	}
}

// TestABacktestLooksForTargets looks for them in a cluster that has one of them.
func TestABacktestLooksForTargets(t *testing.T) {
	url := prometheus(t)
	fill(t, url, burns(time.Now().Truncate(evaluation).Add(-10*time.Minute)))
	w := newWorld(t, "backtest-looks")
	set := w.create("apps/v1", "StatefulSet", "api", nil)
	w.create("v1", "Pod", "api-0", set)

	code, out, problems := backtest(t, url, nil, "-kubeconfig", kubeconfig, "-fail", "-o", "json")
	require.Equal(t, 3, code, "%s", problems)
	require.Empty(t, problems)
	var said report
	require.NoError(t, json.Unmarshal([]byte(out), &said))
	missing := map[string][]target{}
	for _, f := range said.Findings {
		if f.Finding == "missing" {
			missing[f.Alertname] = f.Targets
		}
	}
	require.Equal(t, map[string][]target{
		"KubePodCrashLooping": {{"v1", "Pod", "api-1", "shop"}},
		"DeploymentReplicas":  {{"apps/v1", "Deployment", "api", "shop"}},
	}, missing)

	code, out, problems = backtest(t, url, []string{"TARGET=owner"}, "-kubeconfig", kubeconfig)
	require.Zero(t, code, problems)
	require.Regexp(t, `StatefulSet/api in shop +1 +3 +.* label pod \(owner: resolved\)`, out)
	require.Regexp(t, `StatefulSet/api in shop +1 +2 +.* label pod \(owner: by_name\)`, out, "api-1 is gone")

	code, out, problems = backtest(t, url, nil, "-since", "5m")
	require.Equal(t, 1, code, "%s", out)
	require.Contains(t, problems, `has no ALERTS{alertstate="firing"}`)
}
