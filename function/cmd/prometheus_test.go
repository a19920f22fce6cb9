package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden asks that a text is what a file holds.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "`go test ./function/cmd -update` writes it anew")
}

// server is a Prometheus whose history is one alert, or answers as a test says.
type server struct {
	*httptest.Server
	queries atomic.Int64
}

// newServer answers queries below /prometheus. answer may answer a query itself.
func newServer(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request) bool, start func(*httptest.Server)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(s.queries.Add(1))
		if answer != nil && answer(n, w, r) {
			return
		}
		if r.URL.Path != "/prometheus/api/v1/query_range" || r.FormValue("query") != query {
			http.NotFound(w, r)
			return
		}
		from, _ := strconv.Atoi(r.FormValue("start"))
		to, _ := strconv.Atoi(r.FormValue("end"))
		step, _ := strconv.Atoi(r.FormValue("step"))
		var values [][]any
		for at := from; at <= to; at += step {
			values = append(values, []any{at, "1"})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": []any{
			map[string]any{"metric": map[string]string{"__name__": "ALERTS", "alertstate": "firing", "alertname": "DiskFull", "node": "n1"}, "values": values},
		}}})
	}))
	start(s.Server)
	t.Cleanup(s.Close)
	return s
}

func fail(status int, text string) func(int, http.ResponseWriter, *http.Request) bool {
	return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		fmt.Fprint(w, text)
		return true
	}
}

// quick runs a backtest that does not wait between tries.
func quick(t *testing.T, url string, environment map[string]string, args ...string) (code int, out, problems string) {
	t.Helper()
	firstPauseOf, maxAnswerOf = time.Microsecond, smallAnswer
	t.Cleanup(func() { firstPauseOf, maxAnswerOf = firstQueryPause, maxAnswer })
	return run(t, "", environment, append([]string{"explain", "-prometheus", url + "/prometheus"}, args...)...)
}

func TestABacktestAsksPrometheus(t *testing.T) {
	s := newServer(t, nil, (*httptest.Server).Start)
	code, out, problems := quick(t, s.URL, nil, "-since", "2d", "-o", "json")
	require.Zero(t, code, problems)
	require.Empty(t, problems)
	var r report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, counts{LabelSets: 1, Fires: 1, Objects: 1, Repeats: 12}, r.Total)
	require.Equal(t, 48*time.Hour, r.To.Sub(r.From))
	require.Equal(t, r.From, r.FirstSample)
	require.EqualValues(t, 3, s.queries.Load())

	code, out, _ = quick(t, s.URL, map[string]string{"IGNORE_ALERTS": "DiskFull"}, "-since", "1h")
	require.Zero(t, code)
	require.Contains(t, out, "1 fire filtered: ignored_alertname")
}

func TestWhatAServerRefusesIsSaidWithWhatToDo(t *testing.T) {
	for reason, row := range map[string]struct {
		answer  func(int, http.ResponseWriter, *http.Request) bool
		queries int
		problem string
	}{
		"no credentials":                 {fail(401, "no"), 1, "give -token-file FILE"},
		"not allowed":                    {fail(403, `{}`), 1, "403 Forbidden: these credentials may not query"},
		"another server":                 {fail(404, "no"), 1, "is this a Prometheus?"},
		"a wrong query":                  {fail(400, `{"status":"error","errorType":"bad_data","error":"unknown tenant"}`), 1, "400 Bad Request: unknown tenant"},
		"the page of a login":            {fail(200, "<html>"), 1, "something other than Prometheus' JSON"},
		"another result":                 {fail(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`), 1, "not with a matrix"},
		"another status":                 {fail(200, `{"status":"error","error":"no","data":{"resultType":"matrix","result":[]}}`), 1, `with status "error" and a result of type "matrix"`},
		"no alerts at all":               {fail(200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`), 1, "the rules run in another Prometheus"},
		"a sample that is none":          {fail(200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[["x","1"]]}]}}`), 1, "not a sample"},
		"a server that is down for good": {fail(502, "no"), maxQueryTries, "502 Bad Gateway"},
		"a server that has a problem":    {fail(500, "no"), maxQueryTries, "500 Internal Server Error"},
		"a proxy that says what it does": {fail(503, `{"error":"the maximum resolution of the screen"}`), maxQueryTries, "503 Service Unavailable: the maximum"},
		"an answer too large for it":     {fail(413, "no"), 6, "413 Request Entity Too Large, also for a shorter time"},
		"a proxy that does not wait":     {fail(504, "no"), maxTimeouts, "504 Gateway Timeout, also for a shorter time"},
		"a server with too much to do":   {fail(429, "no"), maxQueryTries, "429 Too Many Requests"},
		"too many samples for it":        {fail(422, `{"status":"error","errorType":"execution","error":"too many samples"}`), 6, "too many samples, also for a shorter time"},
		"a server that is late":          {fail(503, `{"status":"error","errorType":"timeout","error":"query timed out"}`), maxTimeouts, "query timed out, also for a shorter time"},
		"an answer without end": {func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, strings.Repeat(" ", smallAnswer+1))
			return true
		}, 6, "more than 65536 bytes"},
	} {
		t.Run(reason, func(t *testing.T) {
			s := newServer(t, row.answer, (*httptest.Server).Start)
			code, out, problems := quick(t, s.URL, nil, "-since", "59m")
			require.Equal(t, 1, code)
			require.Empty(t, out)
			require.Contains(t, problems, row.problem)
			require.EqualValues(t, row.queries, s.queries.Load())
		})
	}
}

// smallAnswer is the largest answer that a [quick] backtest takes, in bytes.
const smallAnswer = 64 << 10

func TestAServerThatIsAwayForAMomentIsAskedAgain(t *testing.T) {
	s := newServer(t, func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n < maxQueryTries {
			w.WriteHeader(http.StatusBadGateway)
		}
		return n < maxQueryTries
	}, (*httptest.Server).Start)
	code, _, problems := quick(t, s.URL, nil, "-since", "1h")
	require.Zero(t, code, problems)
}

func TestARangeThatIsTooMuchIsHalved(t *testing.T) {
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		from, _ := strconv.Atoi(r.FormValue("start"))
		to, _ := strconv.Atoi(r.FormValue("end"))
		if to-from < 8*3600 {
			return false
		}
		return fail(400, `{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 500 points per timeseries"}`)(0, w, r)
	}, (*httptest.Server).Start)
	code, out, problems := quick(t, s.URL, nil, "-since", "2d", "-o", "json")
	require.Zero(t, code, problems)
	var r report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, counts{LabelSets: 1, Fires: 1, Objects: 1, Repeats: 12}, r.Total, "no edge splits a fire, and no sample is lost")
}

func TestWhatAServerWarnsOfIsSaidOnce(t *testing.T) {
	s := newServer(t, fail(200, `{"status":"success","warnings":["store \u001b[2J is away"],"isPartial":true,"data":{"resultType":"matrix","result":[
		{"metric":{"alertname":"A","pod":"p"},"values":[[1700000000.781,"1"],[1700000060.781,"1"]]}]}}`), (*httptest.Server).Start)
	code, _, problems := quick(t, s.URL, nil, "-since", "2d")
	require.Zero(t, code)
	require.Equal(t, "onefire: the server warns: store �[2J is away\nonefire: the server warns: some of the storage did not answer: the history has gaps\n", problems)
}

func TestCredentialsAreShownToPrometheus(t *testing.T) {
	var seen http.Header
	keep := func(_ int, _ http.ResponseWriter, r *http.Request) bool { seen = r.Header.Clone(); return false }
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("abc\n"), 0o600))
	s := newServer(t, keep, (*httptest.Server).StartTLS)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))

	code, _, problems := quick(t, s.URL, nil, "-since", "1h", "-ca-file", ca, "-token-file", token, "-header", "X-Scope-OrgID: ops")
	require.Zero(t, code, problems)
	require.Equal(t, "Bearer abc", seen.Get("Authorization"))
	require.Equal(t, "ops", seen.Get("X-Scope-OrgID"))

	code, _, problems = quick(t, strings.Replace(s.URL, "://", "://me:secret@", 1), nil, "-since", "1h", "-ca-file", ca)
	require.Zero(t, code, problems)
	require.Equal(t, "Basic bWU6c2VjcmV0", seen.Get("Authorization"))

	code, _, problems = quick(t, strings.Replace(s.URL, "://", "://me:secret@", 1), nil, "-since", "1h")
	require.Equal(t, 1, code)
	require.Contains(t, problems, "certificate")
	require.NotContains(t, problems, "secret")
}

func TestABacktestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newServer(t, func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	}, (*httptest.Server).Start)
	var out, problems bytes.Buffer
	code := Main(ctx, []string{"explain", "-prometheus", s.URL + "/prometheus"}, nil, Streams{Out: &out, Err: &problems})
	require.Equal(t, 1, code)
	require.Contains(t, problems.String(), "interrupted")
	require.Empty(t, out.String())
}

func TestTheURLMayBeThatOfTheAPI(t *testing.T) {
	for at, want := range map[string]string{
		"http://p:9090":                        "http://p:9090/api/v1/query_range",
		"http://p:9090/":                       "http://p:9090/api/v1/query_range",
		"http://p/prometheus/api/v1/":          "http://p/prometheus/api/v1/query_range",
		"https://u:p@vm/select/0/prometheus?x": "https://vm/select/0/prometheus/api/v1/query_range",
	} {
		p, err := newPrometheus(at, "", "", nil, time.Minute)
		require.NoError(t, err)
		require.Equal(t, want, p.url.String())
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"alertname":"A"},"values":[[1700000000.781,"1"],[1e3,"1"]]}]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"values":[[],null,["1"],[-1,"1"],[1e300,"1"]]}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decode(body)
		if err != nil {
			return
		}
		h := newHistory(time.Minute, nil, nil)
		require.NoError(t, h.addSeries(a.Data.Result))
		for _, s := range h.sorted() {
			for i, one := range s.fires {
				require.LessOrEqual(t, one.start, one.end)
				require.True(t, i == 0 || one.start-s.fires[i-1].end > h.gap)
			}
		}
	})
}
