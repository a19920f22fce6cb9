package datastorage

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// The probes of this file hold for kubernaut's own DataStorage as well:
//
//	go test ./datastorage -run Probe -datastorage http://127.0.0.1:8080 -token "$TOKEN"
var (
	probedURL   = flag.String("datastorage", "", "the URL of a DataStorage to probe instead of this package's")
	probedToken = flag.String("token", "", "the bearer token for it")
)

// probed is a client of the DataStorage to probe.
func probed(t *testing.T) *client {
	t.Helper()
	if *probedURL == "" {
		return serve(t, Options{Schema: mapping.Schema202608})
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return &client{t: t, url: *probedURL, token: *probedToken}
}

// of asks for all events of a correlation id.
func (c *client) of(id string) page {
	c.t.Helper()
	return c.get("?limit=1000&correlation_id=" + url.QueryEscape(id))
}

// probe is a valid event with a correlation id of its own.
func probe(t *testing.T, id string, changes ...change) []byte {
	t.Helper()
	return event(t, mapping.Schema202608, append([]change{set("correlation_id", id)}, changes...)...)
}

func TestProbeSingle(t *testing.T) {
	const (
		stored  = "Audit event created successfully"
		queued  = "audit event queued for async processing"
		outside = "The request did not pass OpenAPI schema validation"
		json400 = "The request body could not be parsed as valid JSON"
		limits  = "event_data exceeds size or nesting depth limits"
		failed  = "audit event request failed validation"
		orphan  = "parent event does not exist"
	)
	details := object{"message": "m", "code": "c", "component": "gateway", "retry_possible": true}
	tests := map[string]struct {
		change change
		status int
		says   string
	}{
		"as it is":                       {set("severity", "high"), 201, stored},
		"a severity of 20":               {set("severity", long(20)), 201, stored},
		"a severity of 21":               {set("severity", long(21)), 202, queued},
		"an empty severity":              {set("severity", ""), 201, stored},
		"no severity":                    {set("severity", nil), 201, stored},
		"a long severity in the data":    {setData("severity", long(1000)), 201, stored},
		"another version":                {set("version", "2.0"), 201, stored},
		"a long version":                 {set("version", long(11)), 202, queued},
		"a longer version":               {set("version", long(21)), 400, outside},
		"a NUL in a label":               {setData("signal_labels", object{"a": "\x00"}), 202, queued},
		"a NUL in a label's name":        {setData("signal_labels", object{"\x00": "a"}), 202, queued},
		"a NUL in the payload":           {setData("original_payload", object{"a": []any{"\x00"}}), 202, queued},
		"a NUL in a column":              {set("resource_id", "a\x00"), 202, queued},
		"a long actor id":                {set("actor_id", long(256)), 202, queued},
		"a long actor type":              {set("actor_type", long(51)), 202, queued},
		"a long resource id":             {set("resource_id", long(256)), 202, queued},
		"a long resource type":           {set("resource_type", long(101)), 202, queued},
		"a long namespace":               {set("namespace", long(254)), 202, queued},
		"a long cluster id":              {set("cluster_id", long(256)), 202, queued},
		"a namespace of 253 wide runes":  {set("namespace", wide(253)), 201, stored},
		"no IP address":                  {set("actor_ip", "nonsense"), 202, queued},
		"neither table nor queue":        {both(set("actor_id", ""), set("severity", long(21))), 500, "Failed to write audit event to database and DLQ"},
		"an empty actor id":              {set("actor_id", ""), 201, stored},
		"another type than the data's":   {set("event_type", "whatever"), 201, stored},
		"another category":               {set("event_category", "workflow"), 201, stored},
		"nobody's category":              {set("event_category", "kitchen"), 400, outside},
		"a negative duration":            {set("duration_ms", -1), 201, stored},
		"no retention":                   {set("retention_days", 0), 201, stored},
		"a parent that is not there":     {set("parent_event_id", uuid.NewString()), 400, orphan},
		"a parent that is null":          {set("parent_event_id", nil), 400, orphan},
		"a parent that is not a UUID":    {set("parent_event_id", "x"), 400, json400},
		"unknown fields":                 {both(set("tenant", "x"), setData("priority", "x")), 201, stored},
		"an unknown detail of an error":  {setData("error_details", with(details, "extra", 1)), 201, stored},
		"too few details of an error":    {setData("error_details", object{"message": "m"}), 400, outside},
		"another signal type":            {setData("signal_type", "prometheus-alert"), 400, outside},
		"no signal name":                 {unsetData("signal_name"), 400, outside},
		"the largest count":              {setData("occurrence_count", 1<<31-1), 201, stored},
		"a count beyond int32":           {setData("occurrence_count", 1<<31), 400, outside},
		"a count that is not whole":      {setData("occurrence_count", 1.5), 400, outside},
		"a count that is null":           {setData("occurrence_count", nil), 400, outside},
		"a label that is null":           {setData("signal_labels", object{"a": nil}), 400, outside},
		"a label that is not text":       {setData("signal_labels", object{"a": 1}), 400, outside},
		"a payload that is null":         {setData("original_payload", nil), 400, outside},
		"a payload that is text":         {setData("original_payload", "{}"), 400, outside},
		"a day that does not exist":      {set("event_timestamp", "2026-02-30T03:04:05Z"), 400, json400},
		"a time with a blank":            {set("event_timestamp", "2026-02-03 03:04:05Z"), 400, outside},
		"a time in lower case":           {set("event_timestamp", "2026-02-03t03:04:05z"), 400, outside},
		"a time without a zone":          {set("event_timestamp", "2026-02-03T03:04:05"), 400, outside},
		"almost too old":                 {old(7*24*time.Hour - time.Minute), 201, stored},
		"too old":                        {old(7*24*time.Hour + time.Minute), 400, failed},
		"almost too far ahead":           {old(-59 * time.Minute), 201, stored},
		"too far ahead":                  {old(-61 * time.Minute), 400, failed},
		"a payload 9 levels deep":        {setData("original_payload", nested(9)), 201, stored},
		"a payload 10 levels deep":       {setData("original_payload", nested(10)), 400, limits},
		"event_data of almost 256 KiB":   {setData("original_payload", object{"a": long(260_000)}), 201, stored},
		"event_data of more":             {setData("original_payload", object{"a": long(263_000)}), 400, limits},
		"characters that JSON escapes":   {setData("original_payload", object{"a": "<&>\u2028ä😀"}), 201, stored},
		"an invalid surrogate":           {setData("signal_labels", object{"a": json.RawMessage(`"\ud800"`)}), 201, stored},
		"labels that are empty":          {setData("signal_labels", object{}), 201, stored},
		"a correlation id of wide runes": {set("correlation_id", wide(255)), 201, stored},
		"a correlation id too long":      {set("correlation_id", long(256)), 400, outside},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := probed(t)
			id := "probe-" + uuid.NewString()
			a := c.must(http.MethodPost, events, probe(t, id, tt.change))
			require.Equal(t, tt.status, a.status, "%s", a.body)
			answer := decode[map[string]any](t, a.body)
			if tt.status < 300 {
				require.Equal(t, "application/json", a.header.Get("Content-Type"))
				require.Equal(t, tt.says, answer["message"])
			} else {
				require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
				require.Equal(t, tt.says, answer["detail"])
			}
			if tt.status != 201 {
				require.Empty(t, c.of(id).Data, "what is queued is not there")
			}
		})
	}
}

// wide is a text of n characters of two bytes each.
func wide(n int) string {
	runes := make([]rune, n)
	for i := range runes {
		runes[i] = 'ä'
	}
	return string(runes)
}

// both makes two changes.
func both(a, b change) change { return func(e, data map[string]any) { a(e, data); b(e, data) } }

// with is an object with one member more.
func with(o object, name string, value any) object {
	more := object{name: value}
	for k, v := range o {
		more[k] = v
	}
	return more
}

func TestProbeBody(t *testing.T) {
	id := "probe-" + uuid.NewString()
	valid := string(probe(t, id))
	batchOf := func(n int, changes ...change) string {
		var all [][]byte
		for range n {
			all = append(all, probe(t, id))
		}
		return string(array(append(all, probe(t, id, changes...))...))
	}
	tests := map[string]struct {
		path, body, contentType string
		status                  int
		says                    string
	}{
		"another object after it":   {events, valid + "{}", "", 201, ""},
		"garbage after it":          {events, valid + "x", "", 201, ""},
		"nothing":                   {events, "", "", 400, "schema validation"},
		"null":                      {events, "null", "", 400, "schema validation"},
		"an array":                  {events, "[" + valid + "]", "", 400, "schema validation"},
		"half of it":                {events, valid[:len(valid)/2], "", 400, "schema validation"},
		"plain text":                {events, valid, "text/plain", 400, "schema validation"},
		"a structured CloudEvent":   {events, valid, "application/cloudevents+json", 400, "schema validation"},
		"JSON in UTF-8":             {events, valid, "application/json; charset=utf-8", 201, ""},
		"a batch of 1":              {batch, "[" + valid + "]", "", 201, "1 audit events created"},
		"a batch of 500":            {batch, batchOf(499), "", 201, "500 audit events created"},
		"a batch of 501":            {batch, batchOf(500), "", 400, "batch size 501 exceeds maximum allowed batch size of 500"},
		"an empty batch":            {batch, "[]", "", 400, "batch cannot be empty"},
		"no batch, an event":        {batch, valid, "", 400, "schema validation"},
		"a batch with one too old":  {batch, batchOf(1, old(8*24*time.Hour)), "", 400, "event at index 1 failed validation"},
		"a batch with one too deep": {batch, batchOf(1, setData("original_payload", nested(10))), "", 400, "event at index 1: event_data exceeds"},
		"a batch with one outside":  {batch, batchOf(1, unsetData("signal_name")), "", 400, "schema validation"},
		"a batch with an orphan":    {batch, batchOf(2, set("parent_event_id", uuid.NewString())), "", 400, "event at index 2: parent event does not exist"},
		"a batch with one poisoned": {batch, batchOf(2, set("severity", long(21))), "", 202, "3 audit events queued for async processing via DLQ"},
		"a batch with null":         {batch, "[null]", "", 400, "schema validation"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := probed(t)
			before := c.of(id).Pagination.Total
			contentType := tt.contentType
			if contentType == "" {
				contentType = "application/json"
			}
			a := c.must(http.MethodPost, tt.path, []byte(tt.body), "Content-Type", contentType)
			require.Equal(t, tt.status, a.status, "%s", a.body)
			require.Contains(t, string(a.body), tt.says)
			if tt.status != 201 {
				require.Equal(t, before, c.of(id).Pagination.Total)
			}
		})
	}
}

// The trial of a readiness probe is refused, and its answer tells whether the schema
// is the right one.
func TestProbeTrial(t *testing.T) {
	c := probed(t)
	for schema, says := range map[mapping.Schema]string{
		mapping.Schema202601: "The request did not pass OpenAPI schema validation",
		mapping.Schema202608: "audit event request failed validation",
	} {
		body, err := json.Marshal(mapping.Rules{Schema: schema, Namespace: "onefire"}.Trial())
		require.NoError(t, err)
		a := c.must(http.MethodPost, events, body)
		require.Equal(t, 400, a.status)
		require.Equal(t, says, decode[map[string]any](t, a.body)["detail"])
		require.Empty(t, c.of(mapping.TrialCorrelation).Data)

		// Its parent is a second reason to refuse it, in case its time was none.
		trial := decode[map[string]any](t, body)
		trial["event_timestamp"] = time.Now().UTC().Format(time.RFC3339)
		body, err = json.Marshal(trial)
		require.NoError(t, err)
		require.Equal(t, 400, c.must(http.MethodPost, events, body).status)
		require.Empty(t, c.of(mapping.TrialCorrelation).Data)
	}
}

func TestProbeWhatComesBack(t *testing.T) {
	c := probed(t)
	id := "probe-" + uuid.NewString()
	at := time.Now().UTC().Truncate(time.Microsecond).Add(789)
	body := probe(t, id, set("event_timestamp", at), set("tenant", "x"), set("cluster_name", "x"), set("cluster_id", "west"), set("duration_ms", 12),
		setData("alert_name", "x"), setData("signal_labels", object{}), setData("signal_annotations", object{"a": "<ä>", AuditIDAnnotation: "1"}),
		setData("original_payload", object{"n": json.Number("12345678901234567890"), "z": nil, "l": []any{}}),
		setData("error_details", object{"message": "m", "code": "c", "component": "gateway", "retry_possible": true, "extra": 1}))
	requireStored(t, c.post(body, "one"))
	got := c.of(id).Data[0]
	for _, name := range []string{"event_id", "event_hash", "previous_event_hash"} {
		require.IsType(t, "", got[name])
		delete(got, name)
	}
	require.Equal(t, map[string]any{
		"event_timestamp": at.Truncate(time.Microsecond).Format(time.RFC3339Nano), "event_date": at.Format(time.DateOnly),
		"event_type": "gateway.signal.deduplicated", "version": "1.0", "event_category": "gateway", "event_action": "deduplicated",
		"event_outcome": "success", "correlation_id": id, "parent_event_id": nil, "parent_event_date": nil,
		"resource_type": "Signal", "resource_id": "ee4f7a5c4e5ffb2b1d1d1f6e7d3c9b8a0f1e2d3c4b5a69788796a5b4c3d2e1f0",
		"namespace": got["namespace"], "cluster_id": "west", "severity": got["severity"], "duration_ms": 12.0,
		"actor_id": "prometheus", "actor_type": "external", "retention_days": 2555.0, "is_sensitive": false,
		"legal_hold": false, "legal_hold_reason": "", "legal_hold_placed_by": "", "legal_hold_placed_at": nil,
		"event_data": got["event_data"],
	}, got)
	data := got["event_data"].(map[string]any)
	require.Equal(t, object{"n": 12345678901234567000.0, "z": nil, "l": []any{}}, data["original_payload"])
	require.Equal(t, object{"a": "<ä>", AuditIDAnnotation: "1"}, data["signal_annotations"])
	require.Equal(t, object{}, data["signal_labels"])
	require.NotContains(t, data, "alert_name")
	require.Equal(t, object{"message": "m", "code": "c", "component": "gateway", "retry_possible": true}, data["error_details"])
}
