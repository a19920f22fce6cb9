package telemetry

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
)

func TestAnExportIsTriedAgainWhereThatMayHelp(t *testing.T) {
	for name, row := range map[string]struct {
		first http.HandlerFunc
		tries int
		lost  string
	}{
		"taken":                  {answer(200, ""), 1, ""},
		"taken, with no body":    {answer(204, ""), 1, ""},
		"taken, for later":       {answer(202, ""), 1, ""},
		"taken, in other words":  {answer(200, "ok"), 1, ""},
		"taken, and said so":     {answer(200, `{"partialSuccess":{}}`), 1, ""},
		"none rejected":          {answer(200, `{"partialSuccess":{"rejectedSpans":"0"}}`), 1, ""},
		"too many requests":      {answer(429, ""), 2, ""},
		"bad gateway":            {answer(502, ""), 2, ""},
		"unavailable":            {answer(503, ""), 2, ""},
		"gateway timeout":        {answer(504, ""), 2, ""},
		"in no time":             {retryAfter("0"), 2, ""},
		"at a time that is past": {retryAfter("Mon, 02 Jan 2006 15:04:05 GMT"), 2, ""},
		"later than we wait":     {retryAfter("3600"), 1, "the collector answered 503"},
		"a connection that ends": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2, ""},
		"not understood":         {answer(400, "what?"), 1, "the collector answered 400 what?"},
		"not allowed":            {answer(401, ""), 1, "the collector answered 401"},
		"a server's mistake":     {answer(500, ""), 1, "the collector answered 500"},
		"somewhere else":         {redirect, 1, "the collector answered 307"},
		"some rejected":          {answer(200, `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}`), 1, "rejected 2 items: too old"},
		"some points rejected":   {answer(200, `{"partialSuccess":{"rejectedDataPoints":3}}`), 1, "rejected 3 items"},
		"a warning":              {answer(200, `{"partialSuccess":{"errorMessage":"soon no more"}}`), 1, "soon no more"},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int64
			c := newCollector(t, func(w http.ResponseWriter, r *http.Request) {
				if tries.Add(1) == 1 {
					row.first(w, r)
				}
			})
			o, logged := options(c.URL)
			o.OTel.MetricsEndpoint = ""
			all := start(t, o)
			_, span := all.Tracer().Start(t.Context(), "settle")
			span.End()
			require.NoError(t, all.Stop(t.Context()))
			require.EqualValues(t, row.tries, tries.Load())
			require.Len(t, c.got(), row.tries)
			if row.lost == "" {
				require.Empty(t, logged.String())
				return
			}
			require.Contains(t, logged.String(), row.lost)
		})
	}
}

func TestWhatIsLoggedHasNoSecretInIt(t *testing.T) {
	c := newCollector(t, answer(400, ""))
	for name, endpoint := range map[string]string{
		"nobody is there": "http://hush1:hush2@127.0.0.1:1/hush3?key=hush4",
		"somebody is":     strings.Replace(c.URL, "://", "://hush1:hush2@", 1) + "/hush3?key=hush4",
	} {
		t.Run(name, func(t *testing.T) {
			o, logged := options(endpoint)
			o.OTel.TracesEndpoint, o.OTel.MetricsEndpoint = endpoint, ""
			o.OTel.Headers = config.Headers{"Authorization": "Bearer hush5"}
			o.OTel.Timeout = config.Milliseconds(50 * time.Millisecond)
			all := start(t, o)
			_, span := all.Tracer().Start(t.Context(), "settle")
			span.End()
			require.NoError(t, all.Stop(t.Context()))
			require.Contains(t, logged.String(), "telemetry lost")
			require.NotContains(t, logged.String(), "hush")
		})
	}
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func retryAfter(when string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", when)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
}

// How long an export is tried, see [TestTheTimesOfAnExport].
func TestAnExportIsTriedUntilAStopHasNoMoreTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var tries atomic.Int64
	c := newCollector(t, func(w http.ResponseWriter, r *http.Request) {
		answer(503, "")(w, r)
		if tries.Add(1) == 3 {
			cancel()
		}
	})
	o, logged := options(c.URL)
	all := start(t, o)
	require.NoError(t, all.Stop(ctx))
	require.GreaterOrEqual(t, tries.Load(), int64(3), "it was tried again")
	require.Contains(t, logged.String(), "the collector answered 503", "not only that time ran out")
}

func TestTheLastAnswerIsLogged(t *testing.T) {
	var tries atomic.Int64
	c := newCollector(t, func(w http.ResponseWriter, r *http.Request) {
		answer([]int{503, 400}[min(tries.Add(1)-1, 1)], "")(w, r)
	})
	o, logged := options(c.URL)
	o.OTel.TracesEndpoint = ""
	require.NoError(t, start(t, o).Stop(t.Context()))
	require.Contains(t, logged.String(), "the collector answered 400")
	require.NotContains(t, logged.String(), "503")
}

func TestAnAnswerThatIsTooLongHoldsNoConnection(t *testing.T) {
	c := newCollector(t, answer(400, strings.Repeat("x", 1<<20)))
	o, logged := options(c.URL)
	client, err := newClient(o.OTel)
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	failed := 0
	s := newSender(t.Context(), c.URL, o, client, func(err error) {
		failed++
		require.EqualError(t, err, "the collector answered 400 "+strings.Repeat("x", maxAnswer))
	})
	for range maxConnections + 1 {
		s.send(t.Context(), jsonMetrics{})
	}
	require.Equal(t, maxConnections+1, failed)
	require.Empty(t, logged.String())
}

func TestNoSpansAreNoExport(t *testing.T) {
	c := newCollector(t, nil)
	o, _ := options(c.URL)
	require.NoError(t, spanExporter{newSender(t.Context(), c.URL, o, c.Client(), nil)}.ExportSpans(t.Context(), nil))
	require.Empty(t, c.got())
}

func TestACollectorIsTrustedByTheCertificateOfTheVariable(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			protos := make(chan string, 1)
			c := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { protos <- r.Proto }))
			c.EnableHTTP2, c.TLS = true, &tls.Config{MaxVersion: version}
			c.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
			c.StartTLS()
			defer c.Close()
			o, _ := options(c.URL)
			post := func() error {
				client, err := newClient(o.OTel)
				require.NoError(t, err)
				defer client.CloseIdleConnections()
				return newSender(t.Context(), c.URL, o, client, nil).post(t.Context(), nil)
			}
			require.ErrorContains(t, post(), "certificate signed by unknown authority")
			o.OTel.Certificate = filepath.Join(t.TempDir(), "ca.crt")
			require.NoError(t, os.WriteFile(o.OTel.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}), 0o600))
			require.NoError(t, post())
			require.Equal(t, "HTTP/2.0", <-protos)
		})
	}
}

// HTTP_PROXY itself is read once by each process, and never taken for a loopback address.
func TestACollectorIsReachedThroughAProxy(t *testing.T) {
	client, err := newClient(config.OTel{})
	require.NoError(t, err)
	require.NotNil(t, client.Transport.(*http.Transport).Proxy)
}

func TestFailuresAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, logged := options("")
		f := &failures{log: o.Log, now: time.Now, kinds: map[string]*failure{}}
		fails := f.of("traces")
		for range 13 {
			fails(fmt.Errorf("away"))
			<-time.After(10 * time.Second) // In the bubble this only moves its clock on.
		}
		require.Len(t, lines(logged), 3, logged)
		require.Contains(t, lines(logged)[1], `"times":6`)
		f.of("metrics")(fmt.Errorf("away"))
		require.Len(t, lines(logged), 4, "each kind for itself")
		fails(fmt.Errorf("away"))
		f.of("metrics")(fmt.Errorf("away"))
		f.end()
		require.Len(t, lines(logged), 6)
		f.end()
		require.Len(t, lines(logged), 6, "nothing is said twice")
	})
}
