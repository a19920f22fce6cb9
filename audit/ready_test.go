package audit

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
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
		"500":               {says(500, "no database"), "no database): see DataStorage's own log"},
		"a long answer":     {says(500, strings.Repeat("x", 2*maxNote)), " (" + strings.Repeat("x", maxNote) + "):"},
		"405":               {status(405), "AUDIT_SINK"},
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
			for _, r := range sink.seen() {
				require.Equal(t, http.MethodGet, r.method, "nothing is posted where there is nothing to try")
			}
		})
	}
}

func TestReadinessReadsARenewedToken(t *testing.T) {
	sink := serve(t, wants("second"), wants("second"), says(200, `{"data":[]}`))
	path := tokenFile(t, "first")
	s := open(t, Options{URL: sink.URL + "/audit/events", TokenFile: path})
	require.ErrorContains(t, s.Ready(t.Context()), "401")
	s.client.token.forget()
	write(t, path, "second")
	require.NoError(t, s.Ready(t.Context()))
	require.Equal(t, []string{"Bearer first", "Bearer first", "Bearer second"}, sink.bearers())
	write(t, path, "")
	s.client.token.forget()
	require.ErrorContains(t, s.Ready(t.Context()), "is empty")
}

func TestDataStorageIsReadyWhenItTakesTheSchema(t *testing.T) {
	problem := func(detail string) answer { return says(400, `{"type":"p","status":400,"detail":"`+detail+`"}`) }
	for reason, row := range map[string]struct {
		answer answer
		says   string
		again  bool
	}{
		"it refuses the time":                    {problem("audit event request failed validation"), "", false},
		"it refuses the parent":                  {problem("parent event does not exist"), "", false},
		"it refuses the schema":                  {problem("The request did not pass OpenAPI schema validation"), "AUDIT_SCHEMA", true},
		"it refuses the schema, as v1.0 says it": {problem("request body has an error: doesn't match schema #/components/schemas/AuditEventRequest"), "AUDIT_SCHEMA", true},
		"another one takes anything":             {status(201), "", false},
		"403":                                    {status(403), "data-storage-client", true},
		"401":                                    {status(401), "AUDIT_TOKEN_FILE", true},
		"404":                                    {status(404), "AUDIT_SINK", true},
		"405":                                    {status(405), "AUDIT_SINK", true},
		"422 says nothing":                       {says(422, "schema"), "", true},
		"429 says nothing":                       {status(429), "", true},
		"503 says nothing":                       {status(503), "", true},
		"a lost connection":                      {drop, "no answer", true},
	} {
		t.Run(reason, func(t *testing.T) {
			sink := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					says(200, `{"data":[]}`)(w, r)
					return
				}
				row.answer(w, r)
			})
			s := open(t, Options{URL: sink.URL + "/audit/events", TokenFile: tokenFile(t, "t"), Trial: map[string]any{"version": "1.0"}})
			for range 2 {
				err := s.Ready(t.Context())
				if row.says == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, row.says)
				}
			}
			var posts []received
			for _, r := range sink.seen() {
				if r.method == http.MethodPost {
					require.JSONEq(t, `{"version":"1.0"}`, string(r.body))
					require.Equal(t, "application/json Bearer t", r.header.Get("Content-Type")+" "+r.header.Get("Authorization"))
					posts = append(posts, r)
				}
			}
			require.Equal(t, row.again, len(posts) > 1, "asked until it is known")
		})
	}
}

// If query and post both fail, Ready names the query.
func TestReadinessSaysWhatIsWrongWithTheQueryFirst(t *testing.T) {
	sink := serve(t, status(403))
	s := open(t, Options{URL: sink.URL + "/audit/events", Trial: 1})
	require.ErrorContains(t, s.Ready(t.Context()), "403 to GET ")
}

func TestATrialThatIsNoJSONMakesNothingReady(t *testing.T) {
	sink := serve(t, says(200, `{"data":[]}`))
	s := open(t, Options{URL: sink.URL + "/audit/events", Trial: make(chan int)})
	require.ErrorContains(t, s.Ready(t.Context()), "making the event of a probe: ")
	require.Len(t, sink.seen(), 1)
}

func TestAnAddressThatCannotBeReadIsNotSaid(t *testing.T) {
	require.Equal(t, "its URL", redacted("http://user:hush@store:x"))
}

func TestOnlyDataStorageIsAskedForTheSchema(t *testing.T) {
	sink := serve(t, status(200))
	require.NoError(t, open(t, Options{URL: sink.URL + "/broker", Trial: 1}).Ready(t.Context()))
	require.Equal(t, http.MethodHead, sink.seen()[0].method)
	require.Len(t, sink.seen(), 1)
}

func TestNoPasswordOfTheSinksURLIsSaid(t *testing.T) {
	for name, status := range map[string]int{"nothing answers": 0, "401": 401, "404": 404, "500": 500} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(status)
			}))
			defer server.Close()
			s, err := New(Options{URL: strings.Replace(server.URL, "http://", "http://user:hush@", 1) + "/api/v1/audit/events"})
			require.NoError(t, err)
			defer s.Close()
			err = s.Ready(t.Context())
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hush")
			require.Contains(t, err.Error(), "user:")
		})
	}
}
