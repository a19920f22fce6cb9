package dedup

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"onefire/mapping"
)

// wired is an API server that keeps RemediationRequests and one ConfigMap, as a transport,
// so that calls also work where the clock is a test's own.
type wired struct {
	// takes is how long each call takes, by "METHOD resource", and late how long its answer
	// then is on its way. meet answers a call in place of the server, unless it answers
	// nothing.
	takes, late map[string]time.Duration
	meet        func(call string) *http.Response

	mu sync.Mutex
	*store
	// begun is when its clock was that of the store.
	begun time.Time
	// since is when the brake was put on; zero while it is off.
	since time.Time
	// calls are those that were sent, and posts when each create was.
	calls []string
	posts []time.Time
}

func newWired() *wired {
	w := &wired{store: newStore(), takes: map[string]time.Duration{}, begun: time.Now()}
	w.perSecond = 1 << 30
	return w
}

// clock is the API server's.
func (w *wired) clock() time.Time { return epoch.Add(time.Since(w.begun)) }

// put puts the brake on, or lets it go.
func (w *wired) put(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since = (time.Time{}); on {
		w.since = w.clock()
	}
}

// count is how many calls of a kind were sent.
func (w *wired) count(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, c := range w.calls {
		if c == call {
			n++
		}
	}
	return n
}

// said is an answer.
func said(status int, body any) *http.Response {
	text, _ := json.Marshal(body)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text))}
}

// no is an answer that says no.
func no(status int, reason string) *http.Response {
	return said(status, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason})
}

func (w *wired) RoundTrip(r *http.Request) (*http.Response, error) {
	call := r.Method + " remediationrequests"
	if strings.Contains(r.URL.Path, "/configmaps/") {
		call = r.Method + " configmaps"
	}
	w.mu.Lock()
	w.calls = append(w.calls, call)
	if r.Method == http.MethodPost {
		w.posts = append(w.posts, w.clock())
	}
	w.mu.Unlock()
	if w.meet != nil {
		if resp := w.meet(call); resp != nil {
			return resp, nil
		}
	}
	select {
	case <-time.After(w.takes[call]): // By the test's own clock.
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w.mu.Lock()
	w.now = w.clock()
	resp, err := w.answer(r, call)
	if err == nil {
		resp.Header.Set("Date", w.now.Format(http.TimeFormat))
	}
	w.mu.Unlock()
	pass(w.late[call])
	return resp, err
}

func (w *wired) answer(r *http.Request, call string) (*http.Response, error) {
	switch call {
	case "GET configmaps":
		if w.since.IsZero() {
			return no(http.StatusNotFound, "NotFound"), nil
		}
		return said(http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"reason": "ask Jane"},
			"metadata": map[string]any{"uid": "uid-" + w.since.Format(time.RFC3339Nano), "creationTimestamp": formatTime(w.since)}}), nil
	case "GET remediationrequests":
		items := []any{}
		for name, o := range w.objects {
			by := r.URL.Query().Get("fieldSelector")
			if by == "" || by == "spec.signalFingerprint="+w.seen[name].fingerprint {
				items = append(items, o.Object)
			}
		}
		return said(http.StatusOK, map[string]any{"kind": "RemediationRequestList", "items": items}), nil
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	if call == "POST remediationrequests" {
		meta := body["metadata"].(map[string]any)
		if _, err := w.create(r.Context(), "ns", body); err != nil {
			return no(http.StatusConflict, "AlreadyExists"), nil //nolint:nilerr // The answer is the error.
		}
		return said(http.StatusCreated, w.objects[meta["name"].(string)].Object), nil
	}
	parts := strings.Split(r.URL.Path, "/")
	if _, err := w.patchStatus(r.Context(), "ns", parts[len(parts)-2], body); err != nil {
		return no(http.StatusConflict, "Conflict"), nil //nolint:nilerr // The answer is the error.
	}
	return said(http.StatusOK, w.objects[parts[len(parts)-2]].Object), nil
}

// replica is a process with a brake.
func (w *wired) replica(t *testing.T, unread func(error)) *Deduplicator {
	t.Helper()
	d, err := New(&rest.Config{Host: "http://api", Transport: w}, Options{
		SignalType: "alert", Brake: types.NamespacedName{Namespace: "onefire", Name: "brake"}, BrakeUnread: unread,
	})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

// about is a signal of a fingerprint of its own.
func about(name string) mapping.Signal {
	s := signal
	s.Fingerprint, s.Name = digest(name), name
	return s
}
