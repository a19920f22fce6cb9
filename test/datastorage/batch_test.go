package datastorage

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// numbered are events whose correlation ids are their places.
func numbered(t *testing.T, n int) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range n {
		all = append(all, correlated(t, strconv.Itoa(i), mapping.SignalReceived))
	}
	return all
}

func TestABatchIsLinkedInItsOrderWhateverItsTimes(t *testing.T) {
	c, at := serve(t, Options{}), time.Now()
	var all [][]byte
	for i := range 3 {
		all = append(all, event(t, mapping.Schema202601, set("event_timestamp", at.Add(-time.Duration(i)*time.Second))))
	}
	require.Equal(t, http.StatusCreated, c.must(http.MethodPost, batch, array(all...)).status)
	previous := ""
	for _, e := range c.rows() {
		stored := c.byID(e.EventID)
		require.Equal(t, previous, stored["previous_event_hash"])
		previous = stored["event_hash"].(string)
	}
}

func TestBatchIsStoredInItsOrder(t *testing.T) {
	for _, n := range []int{1, 2, 500} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			c := serve(t, Options{})
			a := c.must(http.MethodPost, batch, array(numbered(t, n)...))
			require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
			created := decode[batchCreated](t, a.body)
			require.Equal(t, strconv.Itoa(n)+" audit events created successfully", created.Message)
			rows := c.rows()
			require.Len(t, rows, n)
			for i, e := range rows {
				require.Equal(t, strconv.Itoa(i), e.CorrelationID)
				require.Equal(t, created.EventIDs[i], e.EventID)
			}
		})
	}
}

func TestBatchIsStoredWholeOrNotAtAll(t *testing.T) {
	valid := numbered(t, 3)
	with := func(bad []byte) []byte { return array(slices.Insert(slices.Clone(valid), 2, bad)...) }
	tests := map[string]struct {
		body []byte
		says string
	}{
		"an empty batch":           {array(), "empty"},
		"more than 500":            {array(numbered(t, 501)...), "exceeds maximum"},
		"no batch, one event":      {valid[0], "must be an array"},
		"one outside the contract": {with(event(t, mapping.Schema202601, set("severity", "warning"))), "severity"},
		"one of the other schema":  {with(event(t, mapping.Schema202608)), "doesn't match schema"},
		"one too old":              {with(event(t, mapping.Schema202601, old(7*24*time.Hour+time.Minute))), "7 days old"},
		"one too far ahead":        {with(event(t, mapping.Schema202601, old(-61*time.Minute))), "60 minutes ahead"},
		"one that is null":         {with([]byte("null")), "not nullable"},
		"one with no end":          {with([]byte("{")), "failed to decode"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := serve(t, Options{})
			requireProblem(t, c.must(http.MethodPost, batch, tt.body), http.StatusBadRequest, "")
			require.Contains(t, c.server.Rejected()[0], tt.says)
			require.Zero(t, c.total())
		})
	}
}

func TestBatchThatComesTwiceIsStoredTwice(t *testing.T) {
	c := serve(t, Options{})
	body := array(numbered(t, 2)...)
	for range 2 {
		a := c.must(http.MethodPost, batch, body, "Ce-Source", "onefire", "Ce-Id", "one")
		require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	}
	require.Equal(t, 4, c.total())
	perID, err := c.server.RowsPerCEID()
	require.NoError(t, err)
	require.Equal(t, map[string]int{"one": 4}, perID)
}
