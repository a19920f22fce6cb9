package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// wait bounds what takes milliseconds, and look is how often a wait looks.
const (
	wait = 10 * time.Second
	look = 5 * time.Millisecond
)

// recorderOf is a Recorder for an API server, with what became of its Events.
func recorderOf(t *testing.T, api http.HandlerFunc) (*Recorder, func(EventResult) int) {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	var mu sync.Mutex
	tally := map[EventResult]int{}
	r := NewRecorder(&rest.Config{Host: server.URL, QPS: 1}, "pod-1", slog.New(slog.DiscardHandler), func(r EventResult) {
		mu.Lock()
		defer mu.Unlock()
		tally[r]++
	})
	t.Cleanup(func() { r.Close(t.Context()) })
	return r, func(r EventResult) int {
		mu.Lock()
		defer mu.Unlock()
		return tally[r]
	}
}

func TestAnEventIsOneCall(t *testing.T) {
	var calls atomic.Int32
	r, tally := recorderOf(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" ||
			r.URL.Path != "/apis/events.k8s.io/v1/namespaces/onefire/events" || string(body) != string(made("rr-1").body("pod-1")) {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	require.Zero(t, calls.Load(), "nothing before the first")
	r.Record(made("rr-1"))
	require.Eventually(t, func() bool { return tally(Written) == 1 }, wait, look)
	require.EqualValues(t, 1, calls.Load())
}

func TestAnAPIServerThatAsksForTimeIsNotAskedAgain(t *testing.T) {
	for reason, status := range map[string]int{"too many": http.StatusTooManyRequests, "an outage": http.StatusServiceUnavailable} {
		t.Run(reason, func(t *testing.T) {
			var calls atomic.Int32
			r, tally := recorderOf(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(status)
			})
			for _, name := range []string{"rr-1", "rr-2", "rr-3"} {
				r.Record(made(name))
			}
			require.Eventually(t, func() bool { return tally(LeftOut) == 3 }, wait, look)
			require.EqualValues(t, 1, calls.Load())
		})
	}
}

// Several processes tell of one object, and each of them more than once.
func TestConcurrentRecordersTellOnce(t *testing.T) {
	var mu sync.Mutex
	names := map[string]bool{}
	api := func(w http.ResponseWriter, r *http.Request) {
		var o struct {
			Metadata struct{ Name string } `json:"metadata"`
		}
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if names[o.Metadata.Name] {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"AlreadyExists","code":409}`)
			return
		}
		names[o.Metadata.Name] = true
		w.WriteHeader(http.StatusCreated)
	}
	one, first := recorderOf(t, api)
	two, second := recorderOf(t, api)
	var telling sync.WaitGroup
	for _, r := range []*Recorder{one, two, one, two} {
		telling.Go(func() {
			for range 5 {
				r.Record(made("rr-1"))
			}
		})
	}
	telling.Wait()
	one.Close(t.Context())
	two.Close(t.Context())
	require.Equal(t, 1, first(Written)+second(Written))
	require.Equal(t, 19, first(Known)+second(Known))
	require.Len(t, names, 1)
}
