package datastorage

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// hardly is a rate that gives no second token while a test runs.
const hardly = 1e-9

func TestClientThatSendsTooFastIsTold(t *testing.T) {
	c := serve(t, Options{Rate: hardly, Burst: 3, Token: "secret"})
	for range 3 {
		require.Equal(t, http.StatusUnauthorized, c.must(http.MethodGet, events, nil).status, "it counts before the token is read")
	}
	a := c.must(http.MethodPost, events, event(t, mapping.Schema202601), "Authorization", "Bearer secret")
	requireProblem(t, a, http.StatusTooManyRequests, "Too many requests from your IP address. Please retry later.")
	require.Equal(t, "1", a.header.Get("Retry-After"))
	require.Empty(t, c.rows())
	require.Equal(t, http.StatusTooManyRequests, c.must(http.MethodGet, "/readyz", nil).status)
	require.Equal(t, http.StatusOK, c.must(http.MethodGet, "/healthz", nil).status, "the probe of our image")
}

func TestDenialIsAnEventThatQueriesFind(t *testing.T) {
	c := serve(t, Options{Rate: hardly, Burst: 1})
	requireStored(t, c.post(event(t, mapping.Schema202601), ""))
	require.Equal(t, http.StatusTooManyRequests, c.post(event(t, mapping.Schema202601), "").status)
	all := decode[page](t, c.must(http.MethodGet, events, nil, "X-Real-Ip", "192.0.2.1").body)
	require.Len(t, all.Data, 2)
	require.Equal(t, "datastorage.ratelimit.denied", all.Data[0]["event_type"])
	require.Equal(t, "security", all.Data[0]["event_category"])
	require.Empty(t, all.Data[0]["event_hash"])
	body := fmt.Appendf(nil, `{"correlation_id":%q}`, all.Data[0]["correlation_id"])
	chain := decode[Chain](t, c.must(http.MethodPost, VerifyPath, body, "X-Real-Ip", "192.0.2.3").body)
	require.Zero(t, chain.Total, "it is in no chain")
	ours := decode[page](t, c.must(http.MethodGet, events+"?event_category=gateway", nil, "X-Real-Ip", "192.0.2.2").body)
	require.Len(t, ours.Data, 1)
	require.Len(t, c.rows(), 1, "nobody sent it")
}

func TestLimitIsOfEachAddress(t *testing.T) {
	c := serve(t, Options{Rate: hardly, Burst: 1})
	get := func(headers ...string) int { return c.must(http.MethodGet, events, nil, headers...).status }
	require.Equal(t, []int{200, 429}, []int{get(), get()})
	require.Equal(t, []int{200, 429}, []int{get("X-Forwarded-For", "192.0.2.1, 192.0.2.9"), get("X-Real-Ip", "192.0.2.1")})
	require.Equal(t, []int{200, 429}, []int{get("True-Client-Ip", "192.0.2.2"), get("True-Client-Ip", "192.0.2.2", "X-Real-Ip", "192.0.2.3")})
	require.Equal(t, 429, get("X-Forwarded-For", "nonsense"))
}

func TestLimitCountsRequestsAndNotEvents(t *testing.T) {
	c := serve(t, Options{Rate: hardly, Burst: 1})
	require.Equal(t, http.StatusCreated, c.must(http.MethodPost, batch, array(numbered(t, 500)...)).status)
	require.Equal(t, http.StatusTooManyRequests, c.must(http.MethodPost, batch, array(numbered(t, 1)...)).status)
}

func TestLimitTurnedOff(t *testing.T) {
	c := serve(t, Options{Rate: -1, Burst: 1})
	for range 5 {
		require.Equal(t, http.StatusOK, c.must(http.MethodGet, events, nil).status)
	}
}

// The real server's defaults are the ones that a test gets if it does not ask.
func TestDefaults(t *testing.T) {
	var o Options
	o.setDefaults()
	require.Equal(t, []any{mapping.Schema202601, "kubernaut-system", 50.0, 100, "5s", "30s", "10s", "30s", 10_000}, []any{
		o.Schema, o.Namespace, o.Rate, o.Burst, o.WriteTimeout.String(), o.BatchTimeout.String(), o.LockTimeout.String(),
		o.QueueInterval.String(), o.QueueLength,
	})
}

func TestChunkedBodyThatIsTooLargeIsInvalid(t *testing.T) {
	c := serve(t, Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+events, struct{ *strings.Reader }{strings.NewReader(long(5<<20 + 1))})
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
}
