package function

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/dedup"
	"onefire/mapping"
)

// rows is a DataStorage that makes a row of each event of each post.
type rows struct {
	mu   sync.Mutex
	rows []mapping.AuditRequest
	raw  []json.RawMessage
	// posts are the paths of the posts.
	posts []string
}

func (d *rows) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		var raw []json.RawMessage
		if json.Unmarshal(body, &raw) != nil {
			raw = []json.RawMessage{body}
		}
		for _, one := range raw {
			var row mapping.AuditRequest
			if err := json.Unmarshal(one, &row); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			d.rows, d.raw = append(d.rows, row), append(d.raw, one)
		}
		d.posts = append(d.posts, r.URL.Path)
		w.WriteHeader(http.StatusCreated)
		return
	}
	found, query := []json.RawMessage{}, r.URL.Query()
	since, _ := time.Parse(time.RFC3339Nano, query.Get("since"))
	until, _ := time.Parse(time.RFC3339Nano, query.Get("until"))
	for i, row := range d.rows {
		name := query.Get("correlation_id")
		if !row.Timestamp.Before(since) && !row.Timestamp.After(until) && row.Category == query.Get("event_category") && (name == "" || name == row.CorrelationID) {
			found = append(found, d.raw[i])
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": found})
}

// process makes a function of its own that sends to the store.
func (d *rows) process(t *testing.T, url string) *fixture {
	t.Helper()
	f := newFixture()
	s, err := audit.New(audit.Options{URL: url + "/api/v1/audit/events"})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	f.service.pipeline.audit.sink = s
	return f
}

// Whichever process an event is redelivered to, it finds what is stored.
func TestARedeliveryMakesNoSecondRow(t *testing.T) {
	d := &rows{}
	server := httptest.NewServer(d)
	defer server.Close()
	var mu sync.Mutex
	counted := map[string]bool{}
	settle := func(_ context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		out := make([]dedup.Outcome, len(keys))
		for i, key := range keys {
			out[i] = dedup.Outcome{Reason: mapping.FirstSeen, Name: "rr-" + strings.ToLower(s.Name), Count: int32(i + 1), At: noon.Add(-time.Minute)}
			switch {
			case i > 0 && counted[key]:
				out[i].Reason = mapping.ReplayedDuplicate
			case i > 0:
				out[i].Reason = mapping.Active
			case counted[key]:
				out[i].Reason = mapping.ReplayedNew
			}
			counted[key] = true
		}
		return out, nil
	}
	body := webhook(alert("firing", "alertname=A"), alert("firing", "pod=p"),
		alert("firing", "alertname=B", "pod=p", "container=x"), alert("firing", "alertname=B", "pod=p", "container=y"))
	event := func() *http.Request {
		r := binary("1", body)
		r.Header.Set("Ce-Time", noon.Add(-time.Minute).Add(123456789).Format(time.RFC3339Nano))
		return r
	}
	for range 3 {
		f := d.process(t, server.URL)
		f.dedup.settle = settle
		requireStatus(t, http.StatusOK, f.serve(event()))
		require.Len(t, d.rows, 2+1+2+1)
		require.Equal(t, []string{"/api/v1/audit/events/batch"}, d.posts, "one request for all of an event")
		requireStatus(t, http.StatusOK, f.serve(event()))
		require.Len(t, d.rows, 6)
	}
}
