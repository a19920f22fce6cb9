package datastorage

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestProbePathsAndMethods(t *testing.T) {
	tests := map[string]struct {
		method, path string
		status       int
	}{
		"another path":       {http.MethodGet, "/api/v1/nothing", 404},
		"a slash too many":   {http.MethodGet, events + "/", 404},
		"PUT of events":      {http.MethodPut, events, 405},
		"HEAD of events":     {http.MethodHead, events, 405},
		"DELETE of events":   {http.MethodDelete, events, 405},
		"GET of a batch":     {http.MethodGet, batch, 405},
		"GET of the chain":   {http.MethodGet, VerifyPath, 405},
		"whether it is up":   {http.MethodGet, "/readyz", 200},
		"outside of the API": {http.MethodGet, "/", 404},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := probed(t).must(tt.method, tt.path, nil)
			require.Equal(t, tt.status, a.status)
			require.NotEqual(t, "application/problem+json", a.header.Get("Content-Type"))
		})
	}
}

func TestProbeQuery(t *testing.T) {
	c := probed(t)
	id := "probe-" + uuid.NewString()
	at := time.Now().UTC().Add(-time.Hour).Truncate(time.Microsecond)
	for i := range 5 {
		requireStored(t, c.post(probe(t, id, set("event_timestamp", at.Add(time.Duration(i)*time.Microsecond)),
			setData("occurrence_count", i), setData("signal_labels", object{"n": strconv.Itoa(i)})), ""))
	}
	when := func(name string, after time.Duration) url.Values {
		return url.Values{name: {at.Add(after).Format(time.RFC3339Nano)}}
	}
	const µs = time.Microsecond
	tests := map[string]struct {
		query  url.Values
		counts []float64
	}{
		"the newest first":                 {nil, []float64{4, 3, 2, 1, 0}},
		"since includes its microsecond":   {when("since", 3*µs), []float64{4, 3}},
		"since with nanoseconds, just so":  {when("since", 3*µs+1), []float64{4, 3}},
		"since with nanoseconds, half way": {when("since", 3*µs+600), []float64{4, 3}},
		"since a nanosecond before":        {when("since", 3*µs-1), []float64{4, 3, 2}},
		"until includes its microsecond":   {when("until", 1*µs), []float64{1, 0}},
		"until with nanoseconds, half way": {when("until", 1*µs+600), []float64{1, 0}},
		"until a nanosecond before":        {when("until", 1*µs-1), []float64{0}},
		"since in another zone":            {url.Values{"since": {at.Add(3 * µs).In(time.FixedZone("", 5400)).Format(time.RFC3339Nano)}}, []float64{4, 3}},
		"a number":                         {url.Values{"detail_key": {"occurrence_count"}, "detail_value": {"3"}}, []float64{3}},
		"a number as text":                 {url.Values{"detail_key": {"occurrence_count"}, "detail_value": {"3.0"}}, nil},
		"a page":                           {url.Values{"limit": {"2"}, "offset": {"1"}}, []float64{3, 2}},
		"a limit with a tail":              {url.Values{"limit": {"2"}, "severity": {"high"}}, []float64{4, 3}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := url.Values{"correlation_id": {id}}
			for k, v := range tt.query {
				q[k] = v
			}
			var counts []float64
			for _, e := range c.get("?" + q.Encode()).Data {
				counts = append(counts, e["event_data"].(map[string]any)["occurrence_count"].(float64))
			}
			require.Equal(t, tt.counts, counts)
		})
	}
	for _, query := range []string{
		"?limit=0", "?limit=1001", "?limit=2x", "?limit=many", "?offset=-1", "?since=yesterday", "?event_outcome=unknown",
		"?detail_key=occurrence_count", "?detail_value=1", "?detail_key=a.b&detail_value=1",
	} {
		t.Run(query, func(t *testing.T) {
			requireProblem(t, c.must(http.MethodGet, events+query, nil), http.StatusBadRequest, "")
		})
	}
}

func TestProbeChain(t *testing.T) {
	c := probed(t)
	verify := func(id string) Chain {
		body, err := json.Marshal(object{"correlation_id": id})
		require.NoError(t, err)
		a := c.must(http.MethodPost, VerifyPath, body)
		require.Equal(t, http.StatusOK, a.status, "%s", a.body)
		return decode[Chain](t, a.body)
	}
	at := time.Now()
	none := verify("probe-" + uuid.NewString())
	require.True(t, none.Valid)
	require.Equal(t, "No events found for correlation_id", none.Message)

	inOrder, backwards, together := "probe-"+uuid.NewString(), "probe-"+uuid.NewString(), "probe-"+uuid.NewString()
	var many [][]byte
	for i := range 5 {
		step := time.Duration(i) * time.Microsecond
		requireStored(t, c.post(probe(t, inOrder, set("event_timestamp", at.Add(step))), ""))
		requireStored(t, c.post(probe(t, backwards, set("event_timestamp", at.Add(-step))), ""))
		many = append(many, probe(t, inOrder, set("event_timestamp", at.Add(step+time.Millisecond))))
	}
	require.Equal(t, http.StatusCreated, c.must(http.MethodPost, batch, array(many...)).status)
	got := verify(inOrder)
	require.True(t, got.Valid, "%+v", got.Tampered)
	require.Equal(t, []int{10, 10}, []int{got.Total, got.Verified})
	require.Equal(t, "Hash chain verified successfully: no tampering detected", got.Message)

	got = verify(backwards)
	require.False(t, got.Valid)
	require.Equal(t, 5, got.Total)
	require.NotEmpty(t, got.Tampered)
	require.Equal(t, "Hash chain verification FAILED: tampering detected", got.Message)

	// Of 10 events with one time, the chance of ids in the right order is small.
	many = nil
	for range 10 {
		many = append(many, probe(t, together, set("event_timestamp", at)))
	}
	require.Equal(t, http.StatusCreated, c.must(http.MethodPost, batch, array(many...)).status)
	require.False(t, verify(together).Valid)

	for _, body := range []string{`{}`, `{"correlation_id":""}`, `[]`, `{"correlation_id":"` + long(257) + `"}`} {
		requireProblem(t, c.must(http.MethodPost, VerifyPath, []byte(body)), http.StatusBadRequest, "")
	}
}
