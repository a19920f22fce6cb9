package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/test/runbook"
)

// shell runs a command as a page has it, and returns what it printed.
func (w *world) shell(command string) string {
	w.t.Helper()
	sh := exec.CommandContext(context.Background(), "sh", "-ec", command)
	sh.Env = append(os.Environ(), "PATH="+filepath.Dir(w.p.Bin("kubectl"))+":"+os.Getenv("PATH"))
	out, err := sh.CombinedOutput()
	require.NoError(w.t, err, "%s: %s", command, out)
	return string(out)
}

// failures counts the audit events of failures of an alert's name.
func (w *world) failures(alertname string) (n int) {
	w.t.Helper()
	for _, events := range w.audit() {
		for _, e := range events {
			if e.EventType == "gateway.crd.failed" && e.Data.SignalName == alertname {
				n++
			}
		}
	}
	return n
}

// The brake is put on in the middle of a storm on all pods of the function, and let go.
// That the alerts come again, after Alertmanager's repeat_interval, is their events once
// more: what was counted is not counted again.
func TestTheBrakeInAStormOfAlerts(t *testing.T) {
	w := newWorld(t)
	const alerts = 500
	name := fresh("Brake")
	t.Cleanup(func() { w.kubectl("-n", namespace, "delete", "configmap", "onefire-brake", "--ignore-not-found") })
	letters := w.letters("")
	wait := burst(t, name, alerts, alerts, 20*time.Millisecond, 0)
	require.Eventually(t, func() bool { return len(w.named(name)) >= 50 }, settled, look)
	w.shell(runbook.Stop)
	on := time.Now()
	pass(t, 2*time.Second)
	made := len(w.named(name))
	t.Logf("%d objects two seconds after the brake", made)
	wanted := wait()
	require.Less(t, made, alerts, "the storm was not over")
	require.Never(t, func() bool { return len(w.named(name)) != made }, quiet, 5*look)
	for _, o := range w.named(name) {
		require.False(t, o.GetCreationTimestamp().After(on.Add(2*time.Second)), "%s was made too late", o.GetName())
	}
	require.Zero(t, w.failures(name), "nothing was tried")
	require.Contains(t, w.shell(runbook.ShowBrake), runbook.Reason)
	require.Eventually(t, func() bool { return strings.Contains(w.shell(runbook.ShowEvents), runbook.Reason) }, settled, look)
	require.Eventually(t, func() bool { return len(w.query("onefire_paused_timestamp_seconds > 0")) > 0 }, settled, look)

	// The same pods fire again, later: those that have objects are counted once more.
	for _, o := range w.named(name) {
		wanted[text(o, "spec", "targetResource", "name")]++
	}
	w.shell(runbook.Start)
	pass(t, 2*time.Second)
	burst(t, name, alerts, alerts, 5*time.Millisecond, 0)()
	w.settles(name, wanted)
	require.Equal(t, letters, w.letters(""), "no event became a dead letter")
}

// A quota with room for some alerts of a storm makes no dead letters of the others.
func TestAQuotaCapsAStorm(t *testing.T) {
	w := newWorld(t)
	const alerts, room = 300, 100
	name := fresh("Cap")
	t.Cleanup(func() { w.kubectl("-n", namespace, "delete", "quota", "onefire", "--ignore-not-found") })
	letters := w.letters("")
	w.shell(runbook.Cap)
	limit := fmt.Sprint(len(w.all()) + room)
	w.shell(strings.Replace(runbook.CapHigher, `"2000"`, `"`+limit+`"`, 1))
	require.Eventually(t, func() bool {
		const used = `jsonpath={.status.hard.count/remediationrequests\.kubernaut\.ai} {.status.used.count/remediationrequests\.kubernaut\.ai}`
		fields := strings.Fields(w.kubectl("-n", namespace, "get", "quota", "onefire", "-o", used))
		return len(fields) == 2 && fields[0] == limit && fields[1] == fmt.Sprint(len(w.all()))
	}, settled, look, "the quota controller counts")
	t.Log(w.shell(runbook.ShowCap))
	wanted := burst(t, name, alerts, alerts, 20*time.Millisecond, 0)()
	require.Eventually(t, func() bool { return w.failures(name) == alerts-room }, settled, 5*look)
	require.Never(t, func() bool { return len(w.named(name)) != room || w.failures(name) != alerts-room }, quiet, 5*look)
	require.Equal(t, letters, w.letters(""), "a capped event is no dead letter")
	require.Eventually(t, func() bool {
		return strings.Contains(w.kubectl("-n", namespace, "get", "events.events.k8s.io", "--field-selector", "reason=RemediationCapped", "-o", "jsonpath={.items[*].regarding.kind}"), "ResourceQuota")
	}, settled, look)
	t.Logf("of %d alerts %d were capped", alerts, alerts-room)

	w.shell(runbook.Uncap)
	// An API server may hold on to a quota that is gone for a moment.
	probe := fresh("Uncapped")
	for i := 0; len(w.named(probe)) == 0; i++ {
		_, err := post(t.Context(), fmt.Sprint(probe, i), body(probe, "api"))
		require.NoError(t, err)
	}
	// The same pods fire again, later: those that have objects are counted once more.
	for _, o := range w.named(name) {
		wanted[text(o, "spec", "targetResource", "name")]++
	}
	burst(t, name, alerts, alerts, 5*time.Millisecond, 0)()
	w.settles(name, wanted)
}
