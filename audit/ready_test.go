package audit

import (
	"context"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnyAnswerMakesTheSinkReady(t *testing.T) {
	for _, code := range []int{200, 204, 302, 401, 403, 404, 405, 429, 500, 503} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			sink := serve(t, status(code, "Location", "/elsewhere"))
			require.NoError(t, open(t, Options{URL: sink.URL + "/events"}).Ready(t.Context()))
			require.Len(t, sink.seen(), 1)
			require.Equal(t, http.MethodHead, sink.seen()[0].method)
			require.Equal(t, "/events", sink.seen()[0].path)
		})
	}
}

func TestNoAnswerMeansNotReady(t *testing.T) {
	tests := map[string]func(*fake) string{
		"no server":            func(f *fake) string { f.Close(); return f.URL },
		"a dropped connection": func(f *fake) string { return f.URL },
		"no URL":               func(*fake) string { return "://" },
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			sink := serve(t, drop)
			err := open(t, Options{URL: url(sink)}).Ready(t.Context())
			require.ErrorContains(t, err, "probing the audit sink")
		})
	}
}

func TestReadyReturnsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	sink := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	require.ErrorIs(t, open(t, Options{URL: sink.URL}).Ready(ctx), context.Canceled)
}

func TestDataStorageIsReadyWhenItLetsUsAsk(t *testing.T) {
	for reason, row := range map[string]struct {
		answer answer
		says   string
	}{
		"200":               {says(200, `{"data":[]}`), ""},
		"401":               {status(401), "AUDIT_TOKEN_FILE"},
		"403":               {status(403), "data-storage-client"},
		"404":               {status(404), "AUDIT_SINK"},
		"500":               {says(500, "no database"), "no database"},
		"a redirect":        {status(302, "Location", "/elsewhere"), "302"},
		"204 is no answer":  {status(204), "204"},
		"a lost connection": {drop, "probing DataStorage"},
	} {
		t.Run(reason, func(t *testing.T) {
			sink := serve(t, row.answer)
			err := open(t, Options{URL: sink.URL + "/audit/events", TokenFile: tokenFile(t, "t")}).Ready(t.Context())
			if row.says == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, row.says)
			}
			require.Equal(t, http.MethodGet, sink.seen()[0].method)
			require.Equal(t, "Bearer t", sink.bearers()[0])
			require.Equal(t, "correlation_id=onefire-readiness&limit=1", sink.seen()[0].query)
		})
	}
}

func TestReadinessReadsARenewedToken(t *testing.T) {
	sink := serve(t, wants("second"), wants("second"), says(200, `{"data":[]}`))
	path := tokenFile(t, "first")
	s := open(t, Options{URL: sink.URL + "/audit/events", TokenFile: path})
	require.ErrorContains(t, s.Ready(t.Context()), "401")
	s.token.forget()
	write(t, path, "second")
	require.NoError(t, s.Ready(t.Context()))
	require.Equal(t, []string{"Bearer first", "Bearer first", "Bearer second"}, sink.bearers())
	write(t, path, "")
	s.token.forget()
	require.ErrorContains(t, s.Ready(t.Context()), "is empty")
}
