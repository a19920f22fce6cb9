package datastorage

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// stock holds six events: two each of the requests a and b, and two more of a,
// each a microsecond after the other.
func stock(t *testing.T) (*client, time.Time) {
	c := serve(t, Options{})
	at := time.Now().UTC().Add(-time.Hour).Truncate(time.Microsecond)
	for i, e := range []struct{ id, eventType, outcome, severity string }{
		{"a", mapping.SignalReceived, "success", "high"},
		{"a", mapping.RequestCreated, "success", "high"},
		{"b", mapping.SignalReceived, "success", "low"},
		{"b", mapping.RequestFailed, "failure", "low"},
		{"a", mapping.SignalDeduplicated, "success", "high"},
		{"a", mapping.SignalDeduplicated, "success", "high"},
	} {
		requireStored(t, c.post(event(t, mapping.Schema202601, func(ev, data map[string]any) {
			ev["correlation_id"], ev["event_type"], data["event_type"] = e.id, e.eventType, e.eventType
			ev["event_outcome"], ev["severity"], data["occurrence_count"] = e.outcome, e.severity, i
			ev["event_timestamp"] = at.Add(time.Duration(i) * time.Microsecond)
		}), strconv.Itoa(i)))
	}
	return c, at
}

func TestQuery(t *testing.T) {
	c, at := stock(t)
	all := []float64{5, 4, 3, 2, 1, 0}
	when := func(name string, after time.Duration) string {
		return "?" + url.Values{name: {at.Add(after).Format(time.RFC3339Nano)}}.Encode()
	}
	const µs = time.Microsecond
	tests := map[string]struct {
		query  string
		counts []float64
		want   Pagination
	}{
		"everything, the newest first":        {"", all, Pagination{100, 0, 6, false}},
		"by correlation id":                   {"?correlation_id=b", []float64{3, 2}, Pagination{100, 0, 2, false}},
		"by type":                             {"?event_type=gateway.signal.deduplicated", []float64{5, 4}, Pagination{100, 0, 2, false}},
		"by category":                         {"?event_category=gateway", all, Pagination{100, 0, 6, false}},
		"by outcome":                          {"?event_outcome=failure", []float64{3}, Pagination{100, 0, 1, false}},
		"by severity":                         {"?severity=low", []float64{3, 2}, Pagination{100, 0, 2, false}},
		"by both":                             {"?correlation_id=a&event_type=gateway.crd.created", []float64{1}, Pagination{100, 0, 1, false}},
		"both must hold":                      {"?correlation_id=b&event_type=gateway.signal.deduplicated", nil, Pagination{100, 0, 0, false}},
		"by a number in the data":             {"?detail_key=occurrence_count&detail_value=4", []float64{4}, Pagination{100, 0, 1, false}},
		"by a text in the data":               {"?detail_key=event_type&detail_value=gateway.crd.failed", []float64{3}, Pagination{100, 0, 1, false}},
		"by what the data lacks":              {"?detail_key=error_details&detail_value=4", nil, Pagination{100, 0, 0, false}},
		"not by a part of the data":           {"?detail_key=occurrence_count&detail_value=40", nil, Pagination{100, 0, 0, false}},
		"since includes its time":             {when("since", 4*µs), []float64{5, 4}, Pagination{100, 0, 2, false}},
		"since between two microseconds":      {when("since", 4*µs+999), []float64{5, 4}, Pagination{100, 0, 2, false}},
		"until includes its time":             {when("until", 1*µs), []float64{1, 0}, Pagination{100, 0, 2, false}},
		"until just before":                   {when("until", 1*µs-1), []float64{0}, Pagination{100, 0, 1, false}},
		"since two hours ago":                 {"?since=2h", all, Pagination{100, 0, 6, false}},
		"since half an hour ago":              {"?since=30m", nil, Pagination{100, 0, 0, false}},
		"since a day ago":                     {"?since=1d", all, Pagination{100, 0, 6, false}},
		"since before 1970":                   {"?since=1960-01-01", all, Pagination{100, 0, 6, false}},
		"until yesterday":                     {"?until=" + at.AddDate(0, 0, -1).Format(time.DateOnly), nil, Pagination{100, 0, 0, false}},
		"nobody's correlation id":             {"?correlation_id=c", nil, Pagination{100, 0, 0, false}},
		"a quote is only text":                {"?correlation_id=a%27+OR+1=1", nil, Pagination{100, 0, 0, false}},
		"a wildcard is only text":             {"?correlation_id=%25", nil, Pagination{100, 0, 0, false}},
		"a filter is not a prefix":            {"?event_type=gateway", nil, Pagination{100, 0, 0, false}},
		"the first page":                      {"?limit=2", []float64{5, 4}, Pagination{2, 0, 6, true}},
		"a page between":                      {"?limit=2&offset=2", []float64{3, 2}, Pagination{2, 2, 6, true}},
		"the last page, and it is full":       {"?limit=2&offset=4", []float64{1, 0}, Pagination{2, 4, 6, false}},
		"the last page, and it is not":        {"?limit=4&offset=4", []float64{1, 0}, Pagination{4, 4, 6, false}},
		"far past the end":                    {"?offset=1000", nil, Pagination{100, 1000, 6, false}},
		"a page of a filter counts only it":   {"?correlation_id=a&limit=3", []float64{5, 4, 1}, Pagination{3, 0, 4, true}},
		"the largest page":                    {"?limit=1000", all, Pagination{1000, 0, 6, false}},
		"an empty filter selects nothing out": {"?correlation_id=", all, Pagination{100, 0, 6, false}},
		"an unknown parameter selects none":   {"?ce_id=1", all, Pagination{100, 0, 6, false}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := c.get(tt.query)
			var counts []float64
			for _, e := range p.Data {
				counts = append(counts, e["event_data"].(map[string]any)["occurrence_count"].(float64))
			}
			require.Equal(t, tt.counts, counts)
			require.Equal(t, tt.want, p.Pagination)
			require.NotNil(t, p.Data, "no events are an empty array, not null")
		})
	}
}

func TestEventsOfOneTimeAreOrderedByTheirIDs(t *testing.T) {
	c := serve(t, Options{})
	at := time.Now()
	for range 20 {
		requireStored(t, c.post(event(t, mapping.Schema202601, set("event_timestamp", at)), ""))
	}
	ids := []string{}
	for _, e := range c.get("").Data {
		ids = append(ids, e["event_id"].(string))
	}
	for i := 1; i < len(ids); i++ {
		require.Greater(t, ids[i-1], ids[i])
	}
}

func TestPageHas100EventsUnlessToldOtherwise(t *testing.T) {
	c := serve(t, Options{})
	require.Equal(t, http.StatusCreated, c.must(http.MethodPost, batch, array(numbered(t, 101)...)).status)
	first := c.get("")
	require.Len(t, first.Data, 100)
	require.Equal(t, Pagination{100, 0, 101, true}, first.Pagination)
	require.Len(t, c.get("?offset=100").Data, 1)
}

func TestQueryOutsideTheContractIsRefused(t *testing.T) {
	c := serve(t, Options{})
	for _, query := range []string{
		"?limit=0", "?limit=1001", "?limit=-1", "?limit=many", "?offset=-1", "?offset=1.5", "?offset=99999999999999999999",
		"?since=yesterday", "?until=soon", "?since=2026-13-01T00:00:00Z", "?event_outcome=unknown",
		"?detail_key=occurrence_count", "?detail_value=1", "?detail_key=a.b&detail_value=1", "?detail_key=a%27&detail_value=1",
	} {
		t.Run(query, func(*testing.T) { c.requireRefused(c.must(http.MethodGet, events+query, nil), "") })
	}
}

func TestQueryIsAnsweredInJSON(t *testing.T) {
	c, _ := stock(t)
	require.Equal(t, "application/json", c.must(http.MethodGet, events, nil).header.Get("Content-Type"))
}
