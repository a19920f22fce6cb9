package datastorage

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// stock holds six events: two each of the requests a and b, and two more of a,
// in the order in which their types are named.
func stock(t *testing.T) *client {
	c := serve(t, Options{})
	for i, e := range [][]byte{
		correlated(t, "a", mapping.SignalReceived),
		correlated(t, "a", mapping.RequestCreated),
		correlated(t, "b", mapping.SignalReceived),
		correlated(t, "b", mapping.RequestCreated),
		correlated(t, "a", mapping.SignalDeduplicated),
		correlated(t, "a", mapping.SignalDeduplicated),
	} {
		requireStored(t, c.post(e, strconv.Itoa(i)))
	}
	return c
}

func TestQuery(t *testing.T) {
	tests := map[string]struct {
		query string
		ids   []string
		want  Pagination
	}{
		"everything, the oldest first":        {"", []string{"0", "1", "2", "3", "4", "5"}, Pagination{50, 0, 6, false}},
		"by correlation id":                   {"?correlation_id=b", []string{"2", "3"}, Pagination{50, 0, 2, false}},
		"by type":                             {"?event_type=gateway.signal.deduplicated", []string{"4", "5"}, Pagination{50, 0, 2, false}},
		"by category":                         {"?event_category=gateway", []string{"0", "1", "2", "3", "4", "5"}, Pagination{50, 0, 6, false}},
		"by both":                             {"?correlation_id=a&event_type=gateway.crd.created", []string{"1"}, Pagination{50, 0, 1, false}},
		"by all three":                        {"?correlation_id=b&event_type=gateway.signal.received&event_category=gateway", []string{"2"}, Pagination{50, 0, 1, false}},
		"both must hold":                      {"?correlation_id=b&event_type=gateway.signal.deduplicated", nil, Pagination{50, 0, 0, false}},
		"nobody's correlation id":             {"?correlation_id=c", nil, Pagination{50, 0, 0, false}},
		"nobody's category":                   {"?event_category=workflow", nil, Pagination{50, 0, 0, false}},
		"a quote is only text":                {"?correlation_id=a%27+OR+1=1", nil, Pagination{50, 0, 0, false}},
		"a wildcard is only text":             {"?correlation_id=%25", nil, Pagination{50, 0, 0, false}},
		"a filter is no prefix":               {"?event_type=gateway", nil, Pagination{50, 0, 0, false}},
		"the first page":                      {"?limit=2", []string{"0", "1"}, Pagination{2, 0, 6, true}},
		"a page between":                      {"?limit=2&offset=2", []string{"2", "3"}, Pagination{2, 2, 6, true}},
		"the last page, and it is full":       {"?limit=2&offset=4", []string{"4", "5"}, Pagination{2, 4, 6, false}},
		"the last page, and it is not":        {"?limit=4&offset=4", []string{"4", "5"}, Pagination{4, 4, 6, false}},
		"a page that overlaps":                {"?limit=4&offset=1", []string{"1", "2", "3", "4"}, Pagination{4, 1, 6, true}},
		"just past the end":                   {"?offset=6", nil, Pagination{50, 6, 6, false}},
		"far past the end":                    {"?offset=1000", nil, Pagination{50, 1000, 6, false}},
		"a page of a filter counts only it":   {"?correlation_id=a&limit=3", []string{"0", "1", "4"}, Pagination{3, 0, 4, true}},
		"the last page of a filter":           {"?correlation_id=a&limit=3&offset=3", []string{"5"}, Pagination{3, 3, 4, false}},
		"the largest page":                    {"?limit=1000", []string{"0", "1", "2", "3", "4", "5"}, Pagination{1000, 0, 6, false}},
		"an empty filter selects nothing out": {"?correlation_id=", []string{"0", "1", "2", "3", "4", "5"}, Pagination{50, 0, 6, false}},
	}
	c := stock(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := c.get(tt.query)
			var ids []string
			for _, e := range p.Data {
				ids = append(ids, e["ce_id"].(string))
			}
			require.Equal(t, tt.ids, ids)
			require.Equal(t, tt.want, p.Pagination)
			require.NotNil(t, p.Data, "no events are an empty array, not null")
		})
	}
}

func TestPageHasFiftyEventsUnlessToldOtherwise(t *testing.T) {
	c := serve(t, Options{})
	require.Equal(t, http.StatusCreated, c.must(http.MethodPost, batch, array(numbered(t, 51)...)).status)
	first := c.get("")
	require.Len(t, first.Data, 50)
	require.Equal(t, Pagination{50, 0, 51, true}, first.Pagination)
	second := c.get("?offset=50")
	require.Len(t, second.Data, 1)
	require.Equal(t, Pagination{50, 50, 51, false}, second.Pagination)
}

func TestQueryOutsideTheContractIsRefused(t *testing.T) {
	c := serve(t, Options{})
	for query, says := range map[string]string{
		"?limit=0":                     `"limit"`,
		"?limit=1001":                  `"limit"`,
		"?limit=-1":                    `"limit"`,
		"?limit=many":                  `"limit"`,
		"?limit=":                      `"limit"`,
		"?offset=-1":                   `"offset"`,
		"?offset=1.5":                  `"offset"`,
		"?offset=99999999999999999999": `"offset"`,
	} {
		t.Run(query, func(t *testing.T) {
			requireProblem(t, c.must(http.MethodGet, events+query, nil), http.StatusBadRequest, says)
		})
	}
}

func TestQueryIsAnsweredInJSON(t *testing.T) {
	a := stock(t).must(http.MethodGet, events, nil)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
}
