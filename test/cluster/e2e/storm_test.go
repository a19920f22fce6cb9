package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFiveHundredAlertsAtOnceMakeOneObjectEach(t *testing.T) {
	w := newWorld(t)
	const alerts = 500
	name := fresh("Storm")
	var all []map[string]any
	wanted := map[string]int{}
	for i := range alerts {
		pod := fmt.Sprint("pod-", i)
		wanted[pod] = 1
		all = append(all, alert(name, pod))
	}
	most := w.watchPods(t)
	before := w.calls()
	begin := time.Now()
	w.raise(0, all...)
	require.Eventually(t, func() bool { return len(w.named(name)) >= alerts }, settled, look)
	took := time.Since(begin)
	w.settles(name, wanted)
	calls := w.calls()
	for verb := range calls {
		calls[verb] -= before[verb]
	}
	t.Logf("%d alerts have objects after %.1f s, 1 s of them is group_wait; up to %d pods at once; API calls %v", alerts, took.Seconds(), most(), calls)
	require.Equal(t, alerts, calls["POST"], "one create an alert")
	require.Less(t, calls["LIST"], alerts, "alerts of a storm share Lists")
}

// calls are how many calls for our objects the API server has answered, by verb, but
// for this test's own Lists.
func (w *world) calls() map[string]int {
	w.t.Helper()
	by := map[string]int{"LIST": -int(w.lists.Load())}
	for line := range strings.Lines(w.kubectl("get", "--raw", "/metrics")) {
		if !strings.HasPrefix(line, "apiserver_request_total{") || !strings.Contains(line, `resource="remediationrequests"`) {
			continue
		}
		labels, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		n, err := strconv.ParseFloat(value, 64)
		require.NoError(w.t, err, line)
		_, rest, _ := strings.Cut(labels, `verb="`)
		verb, _, _ := strings.Cut(rest, `"`)
		by[verb] += int(n)
	}
	return by
}

// watchPods looks at the function's pods until the test ends; most says how
// many there were at most at once.
func (w *world) watchPods(t *testing.T) (most func() int) {
	t.Helper()
	seen := make(chan int, 1)
	seen <- 0
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(look)
		defer tick.Stop()
		for {
			n := <-seen
			seen <- max(n, len(w.pods()))
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return func() int { n := <-seen; seen <- n; return n }
}

func TestPodsKilledInABurstLoseAndDoubleNothing(t *testing.T) {
	w := newWorld(t)
	name := fresh("Killed")
	wait := burst(t, name, 600, 50, 50*time.Millisecond, 0)
	killed := 0
	for i := range 6 {
		require.Eventually(t, func() bool {
			n := w.signal(functionProgram, syscall.SIGKILL)
			killed += n
			return n > 0
		}, settled, look)
		// After the first time the pods go too. One whose process is killed time and again is
		// started ever later by the kubelet, and the Broker keeps its posts meanwhile, for minutes.
		if i > 0 {
			w.kubectl("-n", namespace, "delete", "pods", "--selector=serving.knative.dev/service=onefire", "--grace-period=0", "--force")
		}
		pass(t, 4*time.Second)
	}
	wanted := wait()
	t.Logf("%d processes killed", killed)
	w.settles(name, wanted)
}

func TestANewRevisionInABurstLosesNothing(t *testing.T) {
	w := newWorld(t)
	name := fresh("Rolling")
	wait := burst(t, name, 600, 50, 50*time.Millisecond, 0)
	for i := range 2 {
		w.setEnv("LOG_LEVEL", []string{"debug", "warn"}[i])
	}
	w.settles(name, wait())
}

func TestADeliveryGivenUpTooSoonCountsOnce(t *testing.T) {
	w := newWorld(t)
	w.setDelivery(map[string]any{"timeout": "PT1S"})
	// The dispatcher follows the channel some time later: it has when a delivery is given up.
	inEffect, cancel := context.WithTimeout(t.Context(), settled)
	defer cancel()
	for i := 0; w.deliveredToAStalledSink(fmt.Sprintf("%s-%02d", fresh("Probe"), i), 1) < 2; i++ {
		require.NoError(t, inEffect.Err(), "the Trigger's new timeout does not come into effect")
	}
	const events = 20
	deliveries := w.deliveredToAStalledSink(fresh("Timeout"), events)
	t.Logf("%d deliveries of %d events", deliveries, events)
	require.Greater(t, deliveries, events, "each is delivered again while the first delivery is under way")
}

// deliveredToAStalledSink sends events while DataStorage answers nothing for 4 s, waits
// until they are settled, and says how often they were delivered to the function.
func (w *world) deliveredToAStalledSink(name string, events int) (deliveries int) {
	w.t.Helper()
	require.Equal(w.t, 1, w.signal(datastorageProgram, syscall.SIGSTOP))
	goOn := func() { w.signal(datastorageProgram, syscall.SIGCONT) }
	w.t.Cleanup(goOn)
	wait := burst(w.t, name, events, events, 50*time.Millisecond, 2*time.Second)
	resume := time.AfterFunc(4*time.Second, goOn)
	w.t.Cleanup(func() { resume.Stop() })
	w.settles(name, wait())
	logs := w.kubectl("-n", namespace, "logs", "-l", "serving.knative.dev/service=onefire", "-c", "onefire", "--tail=-1")
	for line := range strings.Lines(logs) {
		if strings.Contains(line, name) && strings.Contains(line, `"msg":"event"`) {
			deliveries++
		}
	}
	return deliveries
}

func TestAnAPIServerThatIsAwayForTwentySeconds(t *testing.T) {
	w := newWorld(t)
	name := fresh("APIServer")
	wait := burst(t, name, 300, 50, 100*time.Millisecond, 15*time.Second)
	pass(t, 2*time.Second)
	w.tell("kube-apiserver", "kill")
	t.Cleanup(func() { w.tell("kube-apiserver", "start") })
	pass(t, 20*time.Second)
	w.tell("kube-apiserver", "start")
	w.settles(name, wait())
}

func TestADataStorageThatIsAwayForAMinute(t *testing.T) {
	w := newWorld(t)
	name := fresh("DataStorage")
	scale := func(n int) {
		w.kubectl("-n", "kubernaut-system", "scale", "deployment", "datastorage", fmt.Sprint("--replicas=", n))
	}
	t.Cleanup(func() { scale(1) })
	wait := burst(t, name, 300, 50, 200*time.Millisecond, 30*time.Second)
	pass(t, 2*time.Second)
	scale(0)
	require.Eventually(t, func() bool { return w.signal(datastorageProgram, 0) == 0 }, settled, look)
	pass(t, time.Minute)
	scale(1)
	w.settles(name, wait())
}

func TestAPairOfAlertmanagersWhoseReceiverWasDown(t *testing.T) {
	w := newWorld(t)
	scale := func(n int) {
		w.kubectl("-n", namespace, "scale", "deployment", "onefire-source", fmt.Sprint("--replicas=", n))
	}
	t.Cleanup(func() { scale(2) })
	scale(0)
	require.Eventually(t, func() bool {
		return w.kubectl("-n", namespace, "get", "pods", "-l", "app.kubernetes.io/name=onefire-source", "-o", "name") == ""
	}, settled, look)
	name := fresh("Pair")
	for peer := range 2 {
		w.raise(peer, alert(name, "api"))
	}
	// The second waits for the first for 15 s, and then tries itself.
	pass(t, 25*time.Second)
	scale(2)
	require.Eventually(t, func() bool { return len(w.named(name)) > 0 }, settled, look)
	// Both have come through when this is over; each backs off for a minute at most.
	require.Never(t, func() bool { return len(w.named(name)) != 1 }, 75*time.Second, 5*look)
	n := count(w.named(name)[0])
	require.LessOrEqual(t, n, 2)
	t.Logf("two Alertmanagers told of one alert: one object, counted %d times", n)
	w.settles(name, map[string]int{"api": n})
}
