package datastorage

import (
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

func TestCloudEventIsStoredOnce(t *testing.T) {
	c := serve(t, Options{})
	body := event(t, mapping.Schema202601)
	first := c.post(body, "one")
	id := requireStored(t, first)
	for range 3 {
		again := c.post(body, "one")
		require.Equal(t, http.StatusCreated, again.status)
		require.JSONEq(t, string(first.body), string(again.body))
	}
	p := c.get("")
	require.Equal(t, 1, p.Pagination.Total)
	require.Equal(t, id, p.Data[0]["event_id"])
	require.Equal(t, "one", p.Data[0]["ce_id"])
}

func TestTheFirstOfACloudEventIsKept(t *testing.T) {
	c := serve(t, Options{})
	id := requireStored(t, c.post(correlated(t, "first", mapping.SignalReceived), "one"))
	require.Equal(t, id, requireStored(t, c.post(correlated(t, "second", mapping.SignalReceived), "one")))
	require.Equal(t, 1, c.total())
	require.Equal(t, "first", c.get("").Data[0]["correlation_id"])
}

func TestCloudEventsAreToldBySourceAndID(t *testing.T) {
	c := serve(t, Options{})
	body := event(t, mapping.Schema202601)
	ids := map[string]bool{}
	for _, headers := range [][]string{
		{"Ce-Source", "a", "Ce-Id", "1"},
		{"Ce-Source", "a", "Ce-Id", "2"},
		{"Ce-Source", "b", "Ce-Id", "1"},
		{"Ce-Id", "1"},
	} {
		for range 2 {
			ids[requireStored(t, c.must(http.MethodPost, events, body, headers...))] = true
		}
	}
	require.Len(t, ids, 4)
	require.Equal(t, 4, c.total())
}

func TestWithoutAnIDEachIsNew(t *testing.T) {
	c := serve(t, Options{})
	body := event(t, mapping.Schema202601)
	ids := map[string]bool{}
	for range 3 {
		ids[requireStored(t, c.post(body, ""))] = true
		ids[requireStored(t, c.must(http.MethodPost, events, body, "Ce-Source", "onefire"))] = true
	}
	require.Len(t, ids, 6)
	require.Equal(t, 6, c.total())
}

func TestCloudEventThatWasRefusedIsNotKnown(t *testing.T) {
	c := serve(t, Options{})
	requireProblem(t, c.post(event(t, mapping.Schema202601, set("severity", "warning")), "one"), http.StatusBadRequest, "/severity")
	requireStored(t, c.post(event(t, mapping.Schema202601), "one"))
	require.Equal(t, 1, c.total())
}

func TestCloudEventsThatComeAtOnceAreStoredOnceEach(t *testing.T) {
	const senders, different = 20, 4
	c := serve(t, Options{})
	body := event(t, mapping.Schema202601)
	var (
		answers [different][senders]answer
		errs    [different][senders]error
		wg      sync.WaitGroup
	)
	for i := range different {
		for j := range senders {
			wg.Go(func() {
				answers[i][j], errs[i][j] = c.do(t.Context(), http.MethodPost, events, body, "Ce-Source", "onefire", "Ce-Id", strconv.Itoa(i))
			})
		}
	}
	wg.Wait()
	ids := map[string]bool{}
	for i := range different {
		for j := range senders {
			require.NoError(t, errs[i][j])
			require.Equal(t, requireStored(t, answers[i][0]), requireStored(t, answers[i][j]))
		}
		ids[requireStored(t, answers[i][0])] = true
	}
	require.Len(t, ids, different)
	require.Equal(t, different, c.total())
}
