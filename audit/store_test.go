package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// storeURL makes a sink take the store for DataStorage.
const storeURL = "http://store.test/api/v1/audit/events"

// store behaves as DataStorage does: each post is one more row, a post that does
// not get at the table in time is queued and answered 202, and so is one whose
// client hangs up. It is a network of its own, so that tests have a clock of
// their own.
type store struct {
	t *testing.T
	// before may answer in the store's place, and after may lose or change the
	// answer to what was done. A nil answer of after is a lost connection.
	before func(r *http.Request, events int) *http.Response
	after  func(r *http.Request, resp *http.Response) *http.Response
	// took is how long the table takes for a post.
	took time.Duration

	mu       sync.Mutex
	locked   time.Time
	rows     []stored
	queue    []stored
	requests []string
	bodies   [][]stored
	// underWay are the posts, and most the most of them at once.
	underWay, most int
}

// pass lets time go by: in synctest.Test, where the clock is the test's own, it
// takes none.
func pass(d time.Duration) {
	time.Sleep(d) // In a bubble of synctest this only moves its clock on; nothing waits.
}

// stored is what the store reads of an event.
type stored struct {
	Time        time.Time `json:"event_timestamp"`
	Category    string    `json:"event_category"`
	Correlation string    `json:"correlation_id"`
	Bad         bool      `json:"bad,omitempty"`
	Data        struct {
		Annotations map[string]string `json:"signal_annotations"`
		Filling     string            `json:"filling,omitempty"`
	} `json:"event_data"`
}

// entry is an audit event of the n-th object.
func entry(n int, at time.Time) Event {
	e := sample()
	e.ID, e.Subject, e.Time = strconv.Itoa(n), "rr-"+strconv.Itoa(n), at
	return filled(e, false, "")
}

// filled gives an event the body that goes with it.
func filled(e Event, bad bool, filling string) Event {
	s := stored{Time: e.Time, Category: "gateway", Correlation: e.Subject, Bad: bad}
	s.Data.Annotations = map[string]string{"summary": "s", "onefire/audit-id": e.id().String()}
	s.Data.Filling = filling
	e.Data = s
	return e
}

// entries are events of as many objects, all of one second.
func entries(n int) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = entry(i, base().Add(time.Duration(i+1)*time.Microsecond))
	}
	return events
}

// base is the second in which the tests' alerts were counted.
func base() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func again(events []Event) []Event {
	out := slices.Clone(events)
	for i := range out {
		out[i].Again = true
	}
	return out
}

// process makes a sink of the store: a process of its own.
func (d *store) process() *Sink {
	d.t.Helper()
	s, err := New(Options{URL: storeURL})
	require.NoError(d.t, err)
	s.client.http.Transport = d
	d.t.Cleanup(s.Close)
	return s
}

func (d *store) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		require.NoError(d.t, err)
	}
	answered := make(chan *http.Response, 1)
	go func() { answered <- d.handle(r, body) }() //nolint:bodyclose // The client does.
	select {
	case resp := <-answered:
		if resp == nil {
			return nil, io.ErrUnexpectedEOF
		}
		return resp, nil
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
}

func responded(code int, body string, headers ...string) *http.Response {
	w := httptest.NewRecorder()
	says(code, body, headers...)(w, nil)
	return w.Result()
}

func (d *store) handle(r *http.Request, body []byte) *http.Response {
	var events []stored
	name := r.Method
	switch {
	case r.Method == http.MethodGet:
		name += " " + r.URL.RawQuery
	case strings.HasSuffix(r.URL.Path, "/batch"):
		require.NoError(d.t, json.Unmarshal(body, &events))
		name += " batch of " + strconv.Itoa(len(events))
	default:
		events = make([]stored, 1)
		require.NoError(d.t, json.Unmarshal(body, &events[0]))
	}
	d.mu.Lock()
	d.requests = append(d.requests, name)
	if len(events) > 0 {
		d.bodies = append(d.bodies, events)
		d.underWay++
		d.most = max(d.most, d.underWay)
		defer func() { d.mu.Lock(); d.underWay--; d.mu.Unlock() }()
	}
	d.mu.Unlock()
	if d.before != nil {
		if resp := d.before(r, len(events)); resp != nil {
			return resp
		}
	}
	var resp *http.Response
	if r.Method == http.MethodGet {
		resp = d.query(r)
	} else {
		resp = d.write(r, events)
	}
	if d.after != nil {
		return d.after(r, resp)
	}
	return resp
}

func (d *store) write(r *http.Request, events []stored) *http.Response {
	if slices.ContainsFunc(events, func(s stored) bool { return s.Bad }) {
		return responded(http.StatusBadRequest, "an event failed validation")
	}
	limit := 5 * time.Second
	if len(events) > 1 {
		limit = 30 * time.Second
	}
	d.mu.Lock()
	wait := max(time.Until(d.locked), 0) + d.took
	d.mu.Unlock()
	queue := wait > limit
	select {
	case <-time.After(min(wait, limit)):
	case <-r.Context().Done():
		queue = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if queue {
		d.queue = append(d.queue, events...)
		return responded(http.StatusAccepted, `{"status":"accepted"}`)
	}
	d.rows = append(d.rows, events...)
	return responded(http.StatusCreated, `{}`)
}

func (d *store) query(r *http.Request) *http.Response {
	values := r.URL.Query()
	at := func(name string) time.Time {
		t, err := time.Parse(time.RFC3339, values.Get(name))
		require.NoError(d.t, err)
		return t
	}
	number := func(name string) int {
		n, err := strconv.Atoi(values.Get(name))
		require.NoError(d.t, err)
		return n
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if wait := time.Until(d.locked); wait > 0 {
		return responded(http.StatusInternalServerError, "the table is locked")
	}
	var rows []stored
	for _, row := range d.rows {
		name := values.Get("correlation_id")
		if !row.Time.Before(at("since")) && !row.Time.After(at("until")) && row.Category == values.Get("event_category") && (name == "" || name == row.Correlation) {
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b stored) int { return b.Time.Compare(a.Time) })
	total, offset := len(rows), number("offset")
	rows = rows[min(offset, total):]
	rows = append([]stored{}, rows[:min(number("limit"), len(rows))]...)
	text, err := json.Marshal(map[string]any{"data": rows, "pagination": map[string]any{"total": total, "has_more": offset+len(rows) < total}})
	require.NoError(d.t, err)
	return responded(http.StatusOK, string(text))
}

// drain stores what is queued, as the store's own worker does in the end.
func (d *store) drain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rows, d.queue = append(d.rows, d.queue...), nil
}

// seen are the requests so far.
func (d *store) seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.requests)
}

// posts are the requests so far that were no queries.
func (d *store) posts() []string {
	return slices.DeleteFunc(d.seen(), func(name string) bool { return strings.HasPrefix(name, http.MethodGet) })
}

// requireOnce asserts that each event has one row, and nothing else has one.
func (d *store) requireOnce(events []Event) {
	d.t.Helper()
	d.drain()
	surplus := map[string]int{}
	for _, row := range d.rows {
		surplus[row.Data.Annotations["onefire/audit-id"]]++
	}
	for _, e := range events {
		surplus[e.id().String()]--
	}
	maps.DeleteFunc(surplus, func(_ string, n int) bool { return n == 0 })
	require.Empty(d.t, surplus, "rows too many (or, below zero, missing) by id")
}

// requireAll asserts that all events were delivered.
func requireAll(t *testing.T, errs []error) {
	t.Helper()
	for i, err := range errs {
		require.NoError(t, err, fmt.Sprint("event ", i))
	}
}
