package source

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"onefire/config"
)

var simple = hook(firing(0, "alertname=A", "pod=a"))

func TestARetryMakesTheSameIDHoweverLate(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	var tried []string
	b.answers(func(e event.Event, _ *http.Request) (int, map[string]string, string) {
		tried = append(tried, e.ID())
		return http.StatusServiceUnavailable, nil, ""
	})
	// 29.9 s is at the edge of a window: every later try is in another.
	times := []time.Duration{29900 * time.Millisecond, 30400 * time.Millisecond, 40 * time.Second, 2 * time.Minute, 8 * time.Minute, 17 * time.Minute}
	for _, after := range times {
		f.at(after).requireStatus(http.StatusServiceUnavailable, simple)
	}
	b.always(http.StatusAccepted)
	f.at(18*time.Minute).requireStatus(http.StatusOK, simple)
	id := b.ids()[0]
	require.Len(t, tried, len(times)*maxAttempts)
	for _, one := range tried {
		require.Equal(t, id, one)
	}
}

func TestWhatWasTakenIsNotSentAgainWithinTheWindow(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	f.requireStatus(http.StatusOK, simple)
	answer := f.at(length-time.Millisecond).requireStatus(http.StatusOK, hookFrom("http://alertmanager-1", firing(0, "alertname=A", "pod=a")))
	require.Equal(t, "0 events accepted, 1 already accepted, 0 rejected", answer)
	require.Equal(t, 1, b.posted())
}

func TestTheNextRepeatMakesANewID(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	seen := map[string]bool{}
	for i := range 20 {
		f.at(time.Duration(i)*length).requireStatus(http.StatusOK, simple)
		ids := b.ids()
		require.Len(t, ids, 1)
		require.False(t, seen[ids[0]])
		seen[ids[0]] = true
	}
}

func TestAGroupThatIsSentOftenDoesNotStayOneEvent(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	for i := range 61 {
		f.at(time.Duration(i)*10*time.Second).requireStatus(http.StatusOK, simple)
	}
	require.Len(t, b.ids(), 21, "10 minutes have 20 windows")
}

// In a long outage an alert that still fires keeps its id, but its event must not
// become too old for the function.
func TestAnEventIsNeverOlderThanHalfAnHourWhenItIsSent(t *testing.T) {
	for _, split := range []config.Split{config.SplitAlert, config.SplitNotification} {
		b := newBroker(t)
		var tried []event.Event
		b.answers(func(e event.Event, _ *http.Request) (int, map[string]string, string) {
			tried = append(tried, e)
			return http.StatusServiceUnavailable, nil, ""
		})
		f := start(t, b, func(c *config.Source) { c.Split = split })
		body := hook(firing(0, "alertname=A", "pod=a"))
		for now := time.Duration(0); now <= 3*time.Hour; now += 5 * time.Minute {
			tried = nil
			f.at(now).requireStatus(http.StatusServiceUnavailable, body)
			require.NotEmpty(t, tried)
			for _, e := range tried {
				require.LessOrEqual(t, noon.Add(now).Sub(e.Time()), 30*time.Minute, "after %s", now)
				if now <= 30*time.Minute {
					require.Equal(t, noon, e.Time(), "a retry has the time of the first try")
				}
			}
		}
	}
}

func TestOnlyWhatWasNotTakenIsSentAgain(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	down := true
	b.answers(func(e event.Event, _ *http.Request) (int, map[string]string, string) {
		if down && e.Extensions()["alertname"] == "B" {
			return http.StatusServiceUnavailable, nil, ""
		}
		return http.StatusAccepted, nil, ""
	})
	body := hook(firing(0, "alertname=A"), firing(0, "alertname=B"), firing(0, "alertname=C"))
	answer := f.requireStatus(http.StatusServiceUnavailable, body)
	require.Equal(t, "1 of 3 events could not be sent: the sink is not available: 503", answer)
	require.Len(t, b.ids(), 2)
	// The retry comes when what was taken is long out of its window.
	down = false
	f.at(3*length).requireStatus(http.StatusOK, body)
	left := b.events()
	require.Len(t, left, 1, "A and C are not counted twice")
	require.Equal(t, "B", left[0].Extensions()["alertname"])
	// After the acknowledgement a window begins for all of them.
	f.at(4*length).requireStatus(http.StatusOK, body)
	require.Len(t, b.ids(), 3)
}

func TestAPairThatDeliversAtOnceSharesOneDelivery(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	release := make(chan struct{})
	b.answers(func(event.Event, *http.Request) (int, map[string]string, string) {
		<-release
		return http.StatusAccepted, nil, ""
	})
	answers := make(chan int, 2)
	for _, peer := range []string{"http://alertmanager-0", "http://alertmanager-1"} {
		go func() {
			status, _ := f.post(hookFrom(peer, firing(0, "alertname=A", "pod=a")))
			answers <- status
		}()
	}
	require.Eventually(t, func() bool { return f.underWay(2) && b.posted() == 1 }, 5*time.Second, time.Millisecond)
	close(release)
	require.Equal(t, http.StatusOK, <-answers)
	require.Equal(t, http.StatusOK, <-answers)
	require.Equal(t, 1, b.posted())
}

func TestAPairOnTwoReplicasMakesTheSameIDsAfterAnOutage(t *testing.T) {
	b := newBroker(t)
	b.always(http.StatusServiceUnavailable)
	one, two := start(t, b), start(t, b)
	x := firing(0, "alertname=A", "pod=a")
	// Both began in one window; what follows may take as long as it likes.
	one.at(1*time.Second).requireStatus(http.StatusServiceUnavailable, hookFrom("http://alertmanager-0", x))
	two.at(16*time.Second).requireStatus(http.StatusServiceUnavailable, hookFrom("http://alertmanager-1", x))
	b.always(http.StatusAccepted)
	one.at(4*time.Minute).requireStatus(http.StatusOK, hookFrom("http://alertmanager-0", x))
	two.at(4*time.Minute+50*time.Second).requireStatus(http.StatusOK, hookFrom("http://alertmanager-1", x))
	ids := b.ids()
	require.Len(t, ids, 2)
	require.Equal(t, ids[0], ids[1])
}

// TestWhatIsCountedTwice holds what docs/reference.md says of the edges of windows.
func TestWhatIsCountedTwice(t *testing.T) {
	x := firing(0, "alertname=A", "pod=a")
	for name, tt := range map[string]struct {
		first, second time.Duration
		same          bool
	}{
		"two replicas, within one window":        {1 * time.Second, 29 * time.Second, true},
		"two replicas, over the edge of windows": {29 * time.Second, 31 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			one, two := start(t, b), start(t, b) // The second may be the first after a restart.
			one.at(tt.first).requireStatus(http.StatusOK, hook(x))
			two.at(tt.second).requireStatus(http.StatusOK, hook(x))
			ids := b.ids()
			require.Len(t, ids, 2)
			require.Equal(t, tt.same, ids[0] == ids[1])
		})
	}
}

func TestAnAlertThatCameEarlierThanItWasSaidIsCountedAgain(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	f.requireStatus(http.StatusOK, hook(firing(0, "alertname=A")))
	f.requireStatus(http.StatusOK, hook(firing(-time.Minute, "alertname=A")))
	ids := b.ids()
	require.Len(t, ids, 2)
	require.NotEqual(t, ids[0], ids[1])
}

func TestWhatIsForgottenIsLeftToTheWindow(t *testing.T) {
	m := newMemory(length)
	first := m.recall(key, noon, noon)
	require.Same(t, first, m.recall(key, noon, noon))
	for i := range maxRemembered {
		m.recall((&webhook{}).key(AlertType, "s", alert{identity: "x", start: time.Duration(i).String()}), noon, noon)
	}
	require.Equal(t, maxRemembered, m.known.Len(), "memory is bounded")
	second := m.recall(key, noon, noon.Add(length-1))
	require.NotSame(t, first, second)
	require.Equal(t, first.id, second.id)
}

func TestAWebhookThatIsNeverTriedAgainIsForgotten(t *testing.T) {
	b := newBroker(t)
	b.always(http.StatusServiceUnavailable)
	f := start(t, b)
	f.requireStatus(http.StatusServiceUnavailable, simple)
	key := (&webhook{receiver: "onefire.eu", groupKey: `"{}:{alertname=\"A\"}"`}).key(AlertType, sourceOf("onefire.eu"),
		alert{identity: f.identity(simple), status: "firing", start: noon.Add(-time.Hour).Format(time.RFC3339Nano)})
	o := f.memory.recall(key, noon, noon.Add(openFor-1))
	require.Equal(t, 1, f.memory.known.Len(), "it is that one")
	require.NotSame(t, o, f.memory.recall(key, noon, noon.Add(2*openFor)))
}

// key is some event's.
var key = (&webhook{}).key(AlertType, "s", alert{identity: "0"})

func TestAnAttemptCountsFromItsBeginningAndFromItsEnd(t *testing.T) {
	m := newMemory(length)
	o := m.recall(key, noon, noon)
	m.settle([]*occurrence{o}, false, noon)
	begins := noon.Add(openFor - 1)
	require.Same(t, o, m.recall(key, noon, begins))
	require.Same(t, o, m.recall(key, noon, begins.Add(openFor-1)), "the peer's webhook comes, while this one waits for a place")
	ends := begins.Add(2 * openFor)
	m.settle([]*occurrence{o}, false, ends)
	require.Same(t, o, m.recall(key, noon, ends.Add(openFor-1)))
}

func TestWhatAPeerWasNotToldIsOpenAgain(t *testing.T) {
	m := newMemory(length)
	o := m.recall(key, noon, noon)
	_, err := m.sendOnce(t.Context(), o, func() error { return nil })
	require.NoError(t, err)
	m.settle([]*occurrence{o}, true, noon)
	m.settle([]*occurrence{o}, false, noon.Add(time.Second)) // The peer has hung up.
	require.Same(t, o, m.recall(key, noon, noon.Add(2*length)), "the peer will send it again")
	require.NotSame(t, o, m.recall(key, noon, noon.Add(openFor)))
}

func TestARejectionIsSaidToEachWhoSendsTheSame(t *testing.T) {
	b := newBroker(t)
	b.always(http.StatusRequestEntityTooLarge)
	f := start(t, b)
	for range 2 {
		require.Contains(t, f.requireStatus(http.StatusRequestEntityTooLarge, simple), "413 because")
	}
	require.Equal(t, 1, b.posted())
}

func TestWhoWaitsForAnothersDeliveryIsToldItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(length)
		o := m.recall(key, noon, noon)
		gate, down := make(chan struct{}), errors.New("down")
		others := make(chan error, 2)
		for range cap(others) {
			go func() {
				_, err := m.sendOnce(t.Context(), o, func() error {
					<-gate
					return down
				})
				others <- err
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("out of time"))
		again, err := m.sendOnce(ctx, o, nil)
		require.True(t, again)
		require.EqualError(t, err, "waiting for another delivery of the same event: out of time")
		close(gate)
		require.ErrorIs(t, <-others, down)
		require.ErrorIs(t, <-others, down)
	})
}

func TestAnEventWhoseSendingPanicsIsNotTaken(t *testing.T) {
	m := newMemory(length)
	o := m.recall(key, noon, noon)
	require.Panics(t, func() { _, _ = m.sendOnce(t.Context(), o, func() error { panic("for the test") }) })
	again, err := m.sendOnce(t.Context(), o, func() error { return nil })
	require.NoError(t, err)
	require.False(t, again, "it is sent now")
}

// identity is that of a webhook's first alert.
func (f *fixture) identity(body string) string {
	w, err := read([]byte(body), noon)
	require.NoError(f.t, err)
	return w.alerts[0].identity
}
