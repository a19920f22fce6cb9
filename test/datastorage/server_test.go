package datastorage

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onefire/mapping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	events = "/api/v1/audit/events"
	batch  = events + "/batch"
)

// open opens a server on a database of its own, unless the options name one.
func open(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "events.db")
	}
	if o.Rate == 0 {
		o.Rate = -1 // The tests of the limit set one.
	}
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// client talks to a server over HTTP.
type client struct {
	t      *testing.T
	server *Server
	http   *httptest.Server
	url    string
	token  string
	begun  time.Time
	ticks  int
}

// serve opens a server and lets a client talk to it.
func serve(t *testing.T, o Options) *client {
	t.Helper()
	s := open(t, o)
	h := httptest.NewUnstartedServer(s)
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.Start()
	t.Cleanup(h.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return &client{t: t, server: s, http: h, url: h.URL, begun: time.Now()}
}

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request. headers are names and values by turns; the type of the
// content is JSON if they do not say.
func (c *client) do(ctx context.Context, method, path string, body []byte, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, out}, err
}

// must sends a request that gets an answer.
func (c *client) must(method, path string, body []byte, headers ...string) answer {
	c.t.Helper()
	a, err := c.do(c.t.Context(), method, path, body, headers...)
	require.NoError(c.t, err)
	return a
}

// post sends one event, as the CloudEvent of that id; the empty id sends none.
func (c *client) post(body []byte, id string) answer {
	c.t.Helper()
	if id == "" {
		return c.must(http.MethodPost, events, body)
	}
	return c.must(http.MethodPost, events, body, "Ce-Source", "onefire", "Ce-Id", id)
}

// page is an answer to a query.
type page struct {
	Data       []map[string]any `json:"data"`
	Pagination Pagination       `json:"pagination"`
}

// get queries; query begins with a question mark or is empty.
func (c *client) get(query string) page {
	c.t.Helper()
	a := c.must(http.MethodGet, events+query, nil)
	require.Equal(c.t, http.StatusOK, a.status, "%s", a.body)
	return decode[page](c.t, a.body)
}

// rows are all stored rows, in the order in which they were stored.
func (c *client) rows() []Row {
	c.t.Helper()
	rows, err := c.server.Rows()
	require.NoError(c.t, err)
	return rows
}

// byID is a stored event as a query gives it back.
func (c *client) byID(id string) map[string]any {
	c.t.Helper()
	for _, e := range c.get("?limit=1000").Data {
		if e["event_id"] == id {
			return e
		}
	}
	require.Fail(c.t, "not stored", id)
	return nil
}

// total is how many events are stored.
func (c *client) total() int {
	c.t.Helper()
	return c.get("").Pagination.Total
}

func decode[T any](t *testing.T, body []byte) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(body, &v), "%s", body)
	return v
}

// requireStored checks the answer to a stored event, and gives the event's id.
func requireStored(t *testing.T, a answer) string {
	t.Helper()
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	s := decode[created](t, a.body)
	require.NotEmpty(t, s.EventID)
	return s.EventID
}

// requireProblem checks that an answer is an RFC 7807 problem, and that its
// detail says why.
func requireProblem(t *testing.T, a answer, status int, says string) {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	p := decode[map[string]any](t, a.body)
	require.NotEmpty(t, p["type"])
	require.NotEmpty(t, p["title"])
	require.EqualValues(t, status, p["status"])
	require.Contains(t, p["detail"], says)
}

// requireRefused checks that an answer is a 400 that does not tell why, and that
// the server knows why.
func (c *client) requireRefused(a answer, says string) {
	c.t.Helper()
	requireProblem(c.t, a, http.StatusBadRequest, "")
	rejected := c.server.Rejected()
	require.NotEmpty(c.t, rejected)
	require.Contains(c.t, rejected[len(rejected)-1], says)
	if says != "" {
		require.NotContains(c.t, string(a.body), says, "the client is not told why")
	}
}

// requests are the audit requests that Onefire makes of one decision.
func requests(schema mapping.Schema, d mapping.Record) []mapping.AuditRequest {
	s := mapping.Signal{
		Fingerprint: "ee4f7a5c4e5ffb2b1d1d1f6e7d3c9b8a0f1e2d3c4b5a69788796a5b4c3d2e1f0",
		Name:        "KubePodCrashLooping",
		Severity:    mapping.High,
		Target:      mapping.Target{APIVersion: "v1", Kind: "Pod", Name: "web-0", Namespace: "shop"},
		Cluster:     "east",
		Namespace:   "remediation",
		Labels:      map[string]string{"alertname": "KubePodCrashLooping", "severity": "warning"},
		Annotations: map[string]string{"summary": "It loops."},
		Payload:     json.RawMessage(`{"labels":{"alertname":"KubePodCrashLooping"}}`),
	}
	return mapping.Rules{Schema: schema}.Audit(s, d, time.Now())
}

// decided are the decisions that make audit events.
var decided = map[string]mapping.Record{
	"new":       {Decision: mapping.New, Request: "rr-ee4f7a5c4e5f-00000001", Count: 1},
	"duplicate": {Decision: mapping.Duplicate, Request: "rr-ee4f7a5c4e5f-00000001", Count: 2},
	"invalid":   {Decision: mapping.Invalid, Failure: &mapping.Failure{Code: "ERR_INVALID_ALERT", Message: "no alertname"}},
}

// event is a valid event in JSON, after a change to it or to its event_data.
func event(t *testing.T, schema mapping.Schema, changes ...func(e, data map[string]any)) []byte {
	t.Helper()
	whole, err := json.Marshal(requests(schema, decided["duplicate"])[0])
	require.NoError(t, err)
	e := decode[map[string]any](t, whole)
	for _, change := range changes {
		change(e, e["event_data"].(map[string]any))
	}
	body, err := json.Marshal(e)
	require.NoError(t, err)
	return body
}

// correlated is an event of a correlation id and a type.
func correlated(t *testing.T, id, eventType string) []byte {
	t.Helper()
	return event(t, mapping.Schema202601, func(e, data map[string]any) {
		e["correlation_id"], e["event_type"], data["event_type"] = id, eventType, eventType
	})
}

// array is a batch of events.
func array(all ...[]byte) []byte {
	return []byte("[" + string(bytes.Join(all, []byte(","))) + "]")
}
