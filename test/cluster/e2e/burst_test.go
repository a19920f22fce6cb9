package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sender posts events to the Broker as the source does, and again until the
// Broker takes them.
type sender struct {
	// posts counts requests, took has how long each event took.
	posts atomic.Int64
	mu    sync.Mutex
	took  []time.Duration
}

// body is a webhook with one alert, as the source makes it of each.
func body(alertname, pod string) []byte {
	a := alert(alertname, pod)
	a["status"], a["endsAt"] = "firing", "0001-01-01T00:00:00Z"
	text, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}", "status": "firing", "receiver": "e2e", "externalURL": "http://e2e",
		"groupLabels": a["labels"], "commonLabels": a["labels"], "commonAnnotations": a["annotations"], "alerts": []any{a},
	})
	if err != nil {
		panic(err) // Strings and maps of strings always encode.
	}
	return text
}

// event is a request that posts an event to an address.
func event(ctx context.Context, address, id string, data []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Type": "io.prometheus.alert.v1", "Ce-Source": "/e2e", "Ce-Id": id, "Content-Type": "application/json"} {
		request.Header.Set(name, value)
	}
	return request, nil
}

// post posts an event once and returns the Broker's answer.
func post(ctx context.Context, id string, data []byte) (int, error) {
	request, err := event(ctx, broker, id, data)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}

// send posts an event until the Broker takes it, or ctx ends.
func (s *sender) send(ctx context.Context, id string, data []byte) error {
	begin := time.Now()
	for {
		s.posts.Add(1)
		status, err := post(ctx, id, data)
		if err == nil && status/100 == 2 {
			s.mu.Lock()
			s.took = append(s.took, time.Since(begin))
			s.mu.Unlock()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("event %s was not taken: %d: %w", id, status, ctx.Err())
		case <-time.After(resend):
		}
	}
}

// burst sends events in the background, for that many pods, several for each,
// at a steady pace. wait returns when all are taken, with what is to be
// expected. One event at least must have taken as long as least: what the test
// breaks was in its way.
func burst(t *testing.T, alertname string, events, pods int, pace, least time.Duration) (wait func() map[string]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settled)
	t.Cleanup(cancel)
	var s sender
	work := make(chan int)
	failed := make(chan error, events)
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for i := range work {
				if err := s.send(ctx, fmt.Sprintf("%s-%d-%d", alertname, start.UnixNano(), i), body(alertname, fmt.Sprint("pod-", i%pods))); err != nil {
					failed <- err
				}
			}
		})
	}
	all.Go(func() {
		defer close(work)
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for i := range events {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			work <- i
		}
	})
	return func() map[string]int {
		t.Helper()
		all.Wait()
		close(failed)
		for err := range failed {
			require.NoError(t, err)
		}
		wanted := map[string]int{}
		for i := range events {
			wanted[fmt.Sprint("pod-", i%pods)]++
		}
		slices.Sort(s.took)
		require.Len(t, s.took, events)
		t.Logf("%d events in %d posts to the Broker, each took %d ms (p50), %d ms (p99), %d ms (longest)", events, s.posts.Load(),
			s.took[events/2].Milliseconds(), s.took[events*99/100].Milliseconds(), s.took[events-1].Milliseconds())
		require.GreaterOrEqual(t, s.took[events-1], least)
		return wanted
	}
}

// start tells the events of this run from those of an earlier one.
var start = time.Now()

// fresh is a name for alerts that no earlier run has used.
func fresh(name string) string { return fmt.Sprintf("%s%d", name, start.Unix()) }

// pass lets a time pass that is part of what is tested, as an outage is.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
