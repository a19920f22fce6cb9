package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
	"onefire/test/client"
)

// TestNoRequestHangsAndNothingIsLost sends 20,000 events, 50 at a time, with
// clients that hang up within 4 ms among them. One event in forty is a real
// alert; the others are heartbeats, which take the whole way but the API
// server's. Afterwards what was not answered is delivered again, as a Broker
// does, and every real alert is counted once.
func TestNoRequestHangsAndNothingIsLost(t *testing.T) {
	const events, clients, every, pods = 20_000, 50, 40, 25
	w := newWorld(t, mapping.Schema202608)
	f := w.start("LOG_LEVEL=error")
	body := func(i int) string {
		if i%every != 0 {
			return webhook(alert("firing", "alertname=Watchdog", "severity=none"))
		}
		return webhook(firing("Storm", fmt.Sprintf("api-%d", i/every%pods)))
	}
	deliver := func(ctx context.Context, i int) bool {
		status, answer, err := client.Post(ctx, f.url, fmt.Sprint(i), []byte(body(i)))
		if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Errorf("event %d: %d %s", i, status, answer)
		}
		return err == nil && status == http.StatusOK
	}
	var again sync.Map
	var next, hungUp atomic.Int64
	var senders sync.WaitGroup
	for range clients {
		senders.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= events {
					return
				}
				limit := patience
				if i%10 == 0 {
					limit = rand.N(4 * time.Millisecond)
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				if !deliver(ctx, i) {
					again.Store(i, true)
					if i%10 == 0 {
						hungUp.Add(1)
					}
				}
				cancel()
			}
		})
	}
	senders.Wait()
	redelivered := 0
	again.Range(func(i, _ any) bool {
		redelivered++
		for range 5 {
			if deliver(t.Context(), i.(int)) {
				return true
			}
		}
		t.Errorf("event %v was never settled", i)
		return true
	})
	require.Equal(t, http.StatusOK, status(t, f.url+"/health/liveness"))
	t.Logf("%d events, %d clients hung up, %d redelivered", events, hungUp.Load(), redelivered)

	require.Len(t, w.list(), pods)
	for _, o := range w.list() {
		require.EqualValues(t, events/every/pods, count(&o), o.GetName())
	}
	require.Len(t, w.audit(mapping.SignalReceived), pods)
	require.Len(t, w.audit(mapping.SignalDeduplicated), events/every-pods)
	w.requireUniqueAudit()
	requireEachCountOnce(t, w)
}
