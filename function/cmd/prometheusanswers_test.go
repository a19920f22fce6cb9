package cmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// nothingFired is an answer without alerts.
const nothingFired = `{"status":"success","data":{"resultType":"matrix","result":[]}}`

// inProcess is a prometheus whose queries are answered within the process.
func inProcess(t *testing.T, answer func(*http.Request) (*http.Response, error)) *prometheus {
	t.Helper()
	p, err := newPrometheus("http://prometheus.test", "", "", nil, time.Minute)
	require.NoError(t, err)
	p.client = &http.Client{Transport: roundTrip(answer)}
	return p
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// body is the body of an answer. After its text it fails with an error, when a context
// has ended if there is one.
type body struct {
	io.Reader
	until  context.Context
	err    error
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == nil || b.err == nil {
		return n, err
	}
	if b.until != nil {
		<-b.until.Done()
	}
	return n, b.err
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

func TestAQueryHasItsTime(t *testing.T) {
	for reason, answer := range map[string]func(*http.Request) (*http.Response, error){
		"without an answer": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"with half of an answer": func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: &body{Reader: strings.NewReader(nothingFired[:9]), until: r.Context(), err: errors.New("broken off")}}, nil
		},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, err := inProcess(t, answer).ask(t.Context(), began, began)
				require.Equal(t, queryTimeout, time.Since(began), "it is not tried again")
				var much *tooMuchError
				require.ErrorAs(t, err, &much)
				require.Equal(t, tooMuchError{reason: "no answer within 2m0s", late: true}, *much)
			})
		})
	}
}

func TestAnAnswerThatBreaksOffIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []*body
		p := inProcess(t, func(*http.Request) (*http.Response, error) {
			bodies = append(bodies, &body{Reader: strings.NewReader(nothingFired)})
			if len(bodies) == 1 {
				bodies[0].err = io.ErrUnexpectedEOF
			}
			return &http.Response{StatusCode: http.StatusOK, Body: bodies[len(bodies)-1]}, nil
		})
		_, err := p.ask(t.Context(), time.Now(), time.Now())
		require.NoError(t, err)
		require.Len(t, bodies, 2)
		for _, b := range bodies {
			require.True(t, b.closed, "its connection is free again")
		}
	})
}

func TestTheFirstPauseOfAQueryIsThatOfItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		firstPauseOf = time.Hour
		defer func() { firstPauseOf = firstQueryPause }()
		began := time.Now()
		_, err := inProcess(t, func(*http.Request) (*http.Response, error) { return nil, errors.New("nobody there") }).ask(t.Context(), began, began)
		require.ErrorContains(t, err, "nobody there")
		require.Greater(t, time.Since(began), time.Hour/2)
	})
}

func TestASampleHasATime(t *testing.T) {
	for text, want := range map[string]moment{
		`[0,"1"]`: 0, `[0.5,"1"]`: 500, `[1e11,"1"]`: 1e14, "[ 1700000000.7814 ,\"1\"]": 1700000000781,
	} {
		var m moment
		require.NoError(t, json.Unmarshal([]byte(text), &m), text)
		require.Equal(t, want, m, text)
	}
	for _, text := range []string{`[-0.001,"1"]`, `[100000000000.5,"1"]`, `[1]`, `["1","1"]`, `7`, `[]`} {
		var m moment
		require.ErrorContains(t, m.UnmarshalJSON([]byte(text)), "not a sample: ", text)
	}
}

func TestAnAnswerMayBeAsLargeAsItsBound(t *testing.T) {
	full := strings.ReplaceAll(nothingFired, "[]", `[{"metric":{"alertname":"A"},"values":[[1700000000,"1"]]}]`)
	s := newServer(t, fail(http.StatusOK, full+strings.Repeat(" ", smallAnswer-len(full))), (*httptest.Server).Start)
	code, _, problems := quick(t, s.URL, nil, "-since", "1h")
	require.Zero(t, code, problems)
}

// An error that is not read to its end is no JSON.
func TestALongErrorIsNotRepeated(t *testing.T) {
	s := newServer(t, fail(http.StatusBadRequest, fmt.Sprintf(`{"status":"error","error":"%s"}`, strings.Repeat("x", maxErrorAnswer))), (*httptest.Server).Start)
	code, _, problems := quick(t, s.URL, nil, "-since", "1h")
	require.Equal(t, 1, code)
	require.Contains(t, problems, ": 400 Bad Request\n")
}

func TestWhatAQuerySays(t *testing.T) {
	var seen *http.Request
	s := newServer(t, func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		require.NoError(t, r.ParseForm())
		seen = r
		return false
	}, (*httptest.Server).Start)
	code, _, problems := quick(t, s.URL, nil, "-since", "1h", "-header", "X-Scope-OrgID: ops", "-header", "X-Other: a", "-header", "X-Other: b")
	require.Zero(t, code, problems)
	require.Equal(t, "60", seen.FormValue("step"))
	require.Equal(t, "ops", seen.Header.Get("X-Scope-OrgID"))
	require.Equal(t, []string{"a", "b"}, seen.Header.Values("X-Other"))
	require.NotContains(t, seen.Header, "Authorization", "nobody is named")
}

func TestAServerMayBeOldOrNew(t *testing.T) {
	for protocol, config := range map[string]func(*httptest.Server){
		"HTTP/1.1": func(s *httptest.Server) { s.TLS = &tls.Config{MaxVersion: tls.VersionTLS12} },
		"HTTP/2.0": func(s *httptest.Server) { s.EnableHTTP2 = true },
	} {
		t.Run(protocol, func(t *testing.T) {
			seen := ""
			s := newServer(t, func(_ int, _ http.ResponseWriter, r *http.Request) bool { seen = r.Proto; return false }, func(s *httptest.Server) {
				config(s)
				s.StartTLS()
			})
			code, _, problems := quick(t, s.URL, nil, "-since", "1h", "-ca-file", certificateOf(t, s))
			require.Zero(t, code, problems)
			require.Equal(t, protocol, seen)
		})
	}
}

// certificateOf is a file with a server's certificate.
func certificateOf(t *testing.T, s *server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	return file
}

func TestCertificatesAreTrustedBesideTheSystems(t *testing.T) {
	s := newServer(t, nil, (*httptest.Server).StartTLS)
	want, err := x509.SystemCertPool()
	require.NoError(t, err)
	want.AddCert(s.Certificate())
	p, err := newPrometheus(s.URL, "", certificateOf(t, s), nil, time.Minute)
	require.NoError(t, err)
	transport := p.client.Transport.(*http.Transport)
	require.True(t, want.Equal(transport.TLSClientConfig.RootCAs))
	require.NotNil(t, transport.Proxy)
}
