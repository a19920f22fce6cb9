package alertmanager

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/test/child"
)

var calm = times{interval: "30s", repeat: "1h"}

func TestFiringAndResolvedAlertsBecomeEvents(t *testing.T) {
	t.Parallel()
	to := newSink(t)
	source := startSource(t, child.AddressFor(t), to, "1s")
	am := startAlertmanager(t, source.address, times{interval: "2s", repeat: "1h"})
	began := time.Now()
	am.fire(t, began, time.Time{}, "api-0", "api-1")
	require.Eventually(t, func() bool { return len(to.events("firing")) == 2 }, patience, pollEvery, "%s", am.log)
	var keys []string
	for _, e := range to.events("firing") {
		require.Equal(t, "io.prometheus.alert.v1", e.Type())
		require.Equal(t, "urn:onefire:alertmanager:onefire", e.Source())
		require.Equal(t, "KubePodCrashLooping", e.Extensions()["alertname"])
		require.Equal(t, "warning", e.Extensions()["severity"])
		require.Equal(t, "shop", e.Extensions()["namespace"])
		keys = append(keys, e.Extensions()["partitionkey"].(string))
	}
	require.ElementsMatch(t, am.fingerprints(t), keys)

	am.fire(t, began, time.Now(), "api-0")
	// The alert that still fires comes with it, as another event.
	require.Eventually(t, func() bool { return len(to.events("resolved")) == 1 && len(to.events("firing")) == 3 }, patience, pollEvery, "%s", am.log)
	require.Contains(t, string(to.events("resolved")[0].Data()), `"pod":"api-0"`)
	_, taken := to.ids()
	require.Len(t, taken, 4)
}

func TestASourceThatWasDownGetsItLater(t *testing.T) {
	t.Parallel()
	to := newSink(t)
	address := child.AddressFor(t)
	am := startAlertmanager(t, address, calm)
	am.fire(t, time.Now(), time.Time{}, "api-0")
	require.Eventually(t, func() bool { return am.logged("connection refused") > 0 }, patience, pollEvery, "%s", am.log)
	startSource(t, address, to, "1s")
	require.Eventually(t, func() bool { return len(to.events("firing")) == 1 }, patience, pollEvery, "%s", am.log)
}

func TestRetriesOfASinkThatWasDownHaveTheSameIDs(t *testing.T) {
	t.Parallel()
	to := newSink(t)
	to.set(true)
	source := startSource(t, child.AddressFor(t), to, "1s")
	am := startAlertmanager(t, source.address, calm)
	am.fire(t, time.Now(), time.Time{}, "api-0", "api-1", "api-2")
	// Three of Alertmanager's own tries, of which the last is seconds after the
	// first: in another window.
	require.Eventually(t, func() bool { return source.logged(`"unavailable":3`) >= 3 }, patience, pollEvery, "%s", am.log)
	require.Equal(t, 1, am.logged("3 of 3 events could not be sent: the sink is not available: 503"), "it says why, once: %s", am.log)
	to.set(false)
	require.Eventually(t, func() bool { return len(to.events("firing")) == 3 }, patience, pollEvery, "%s", am.log)
	tried, taken := to.ids()
	require.Len(t, tried, 3, "all tries had the same ids")
	require.Len(t, taken, 3)
}

func TestAPairThatBothDeliverMakesTheSameIDs(t *testing.T) {
	t.Parallel()
	to := newSink(t)
	to.set(true)
	sources := []*process{startSource(t, child.AddressFor(t), to, "20s"), startSource(t, child.AddressFor(t), to, "20s")}
	gossip := []string{child.AddressFor(t), child.AddressFor(t)}
	var pair []*process
	for i, address := range gossip {
		pair = append(pair, startAlertmanager(t, sources[i].address, calm, "--cluster.listen-address="+address, "--cluster.peer="+gossip[1-i],
			"--cluster.peer-timeout=1s", "--cluster.gossip-interval=20ms", "--cluster.pushpull-interval=200ms"))
	}
	began := time.Now()
	for _, am := range pair {
		am.fire(t, began, time.Time{}, "api-0", "api-1")
	}
	for i, s := range sources {
		require.Eventually(t, func() bool { return s.logged("webhook not accepted") > 0 }, patience, pollEvery, "%s", pair[i].log)
	}
	to.set(false)
	require.Eventually(t, func() bool { return len(to.events("firing")) == 4 }, patience, pollEvery, "both deliver")
	tried, taken := to.ids()
	require.Len(t, tried, 2)
	for id, times := range taken {
		require.Equal(t, 2, times, "%s came from both", id)
	}
}

func TestARepeatIsAnotherEvent(t *testing.T) {
	t.Parallel()
	to := newSink(t)
	source := startSource(t, child.AddressFor(t), to, "1s")
	am := startAlertmanager(t, source.address, times{interval: "2s", repeat: "2s"})
	am.fire(t, time.Now(), time.Time{}, "api-0")
	require.Eventually(t, func() bool { return len(to.events("firing")) == 3 }, patience, pollEvery, "%s", am.log)
	_, taken := to.ids()
	require.Len(t, taken, 3)
}

func TestAGroupThatIsCutIsLoud(t *testing.T) {
	t.Parallel()
	to := newSink(t)
	source := startSource(t, child.AddressFor(t), to, "1s")
	am := startAlertmanager(t, source.address, times{interval: "30s", repeat: "1h", maxAlerts: 2})
	am.fire(t, time.Now(), time.Time{}, "api-0", "api-1", "api-2", "api-3", "api-4")
	require.Eventually(t, func() bool { return len(to.events("firing")) == 2 }, patience, pollEvery, "%s", am.log)
	require.Equal(t, 1, source.logged(`"msg":"Alertmanager left out alerts: raise the receiver's max_alerts or group by more labels","truncated":3`))
	require.Contains(t, string(to.events("firing")[0].Data()), `"truncatedAlerts":3`)
}

// The wait in our own route is long enough for an alert that inhibits another one of
// its rule group: Prometheus sends the two together.
func TestWhatIsInhibitedIsNotSent(t *testing.T) {
	t.Parallel()
	const pairs = 50
	to := newSink(t)
	source := startSource(t, child.AddressFor(t), to, "1m")
	route, err := os.ReadFile("../../knative/alertmanager.yml")
	require.NoError(t, err)
	require.Contains(t, string(route), "http://onefire-source.onefire/")
	route = bytes.Replace(route, []byte("http://onefire-source.onefire/"), []byte("http://"+source.address+"/"), 1)
	route = append(route, `
inhibit_rules:
  - source_matchers: ['severity="critical"']
    target_matchers: ['severity="warning"']
    equal: [pod]
`...)
	am := startWith(t, route)
	for i := range pairs {
		var both []map[string]any
		for _, severity := range []string{"warning", "critical"} {
			both = append(both, map[string]any{"startsAt": time.Now(), "labels": map[string]string{
				"alertname": "KubePodCrashLooping", "severity": severity, "namespace": "shop", "pod": fmt.Sprint("api-", i),
			}})
		}
		am.post(t, both)
	}
	sent := func(severity string) (n int) {
		for _, e := range to.events("firing") {
			if strings.Contains(string(e.Data()), severity) {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return sent(`"critical"`) == pairs }, patience, pollEvery, "%s", am.log)
	require.Zero(t, sent(`"warning"`))
}
