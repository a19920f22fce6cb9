package audit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The system's certificates and the proxy are read from the environment once, so that of
// the tests is made before the first of them.
func TestMain(m *testing.M) {
	dir := must(os.MkdirTemp("", "audit"))
	for name, value := range map[string]string{
		"SSL_CERT_FILE": filepath.Join(dir, "system.crt"), "SSL_CERT_DIR": dir,
		"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "", "NO_PROXY": "", "no_proxy": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	known = must(selfSigned())
	if err := os.WriteFile(os.Getenv("SSL_CERT_FILE"), []byte(inPEM(known.Certificate[0])), 0o600); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// known is a server's certificate that the system trusts.
var known tls.Certificate

// selfSigned makes a certificate for a server on this machine.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}, err
}

func TestWhatTheSystemTrustsIsTrustedBesideOthers(t *testing.T) {
	for reason, certificates := range map[string]string{"alone": "", "beside others": stranger(t)} {
		t.Run(reason, func(t *testing.T) {
			sink := unstarted(t, status(http.StatusCreated))
			sink.TLS = &tls.Config{Certificates: []tls.Certificate{known}, MinVersion: tls.VersionTLS12}
			sink.StartTLS()
			require.NoError(t, one(t.Context(), open(t, Options{URL: sink.URL, CACerts: certificates}), sample()))
		})
	}
}

// TLS 1.2 is enough for a sink.
func TestASinkOfTheOldestTLSIsDeliveredTo(t *testing.T) {
	for version, taken := range map[uint16]bool{tls.VersionTLS12: true, tls.VersionTLS11: false} {
		sink := unstarted(t, status(http.StatusCreated))
		sink.TLS = &tls.Config{Certificates: []tls.Certificate{known}, MinVersion: tls.VersionTLS10, MaxVersion: version}
		sink.StartTLS()
		require.Equal(t, taken, one(t.Context(), open(t, Options{URL: sink.URL}), sample()) == nil, tls.VersionName(version))
	}
}

// A file may end without a line break.
func TestTheFileAndTheOtherCertificatesAreKeptApart(t *testing.T) {
	sink, certificate := secure(t, false)
	o := Options{URL: sink.URL, CAFile: caFile(t, strings.TrimSpace(stranger(t))), CACerts: certificate}
	require.NoError(t, one(t.Context(), open(t, o), sample()))
}

func TestTheSinkIsReachedThroughTheEnvironmentsProxy(t *testing.T) {
	c, err := NewClient(ClientOptions{Name: "the server"})
	require.NoError(t, err)
	defer c.Close()
	err = c.Deliver(t.Context(), get("http://server.test", nil), Retry{Tries: 1})
	require.ErrorContains(t, err, "proxyconnect tcp: dial tcp 127.0.0.1:1: ")
}

func TestClosingAClientClosesItsConnections(t *testing.T) {
	closed := make(chan bool)
	sink := unstarted(t, status(http.StatusOK))
	sink.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	sink.Start()
	s := open(t, Options{URL: sink.URL})
	require.NoError(t, one(t.Context(), s, sample()))
	s.Close()
	select {
	case <-closed:
	case <-t.Context().Done():
		require.Fail(t, "the connection stays")
	}
}

// A server's long answer is not read to its end, and its connection not kept.
func TestLongAnswersTakeUpNoConnection(t *testing.T) {
	sink := serve(t, says(http.StatusCreated, strings.Repeat("x", 1<<20)))
	c, err := NewClient(ClientOptions{Name: "the server", MaxConnections: 1})
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 {
		require.NoError(t, c.Deliver(ctx, get(sink.URL, nil), Retry{Tries: 1}))
	}
}

func TestConnectionsAreBoundedAndKept(t *testing.T) {
	const n = 5
	for reason, row := range map[string]struct {
		options      ClientOptions
		atOnce, made int64
	}{
		"kept":        {ClientOptions{MaxIdle: n}, n, n},
		"bounded":     {ClientOptions{MaxConnections: 1, MaxIdle: n}, 1, 1},
		"one is kept": {ClientOptions{MaxIdle: 1}, n, 2*n - 1},
	} {
		t.Run(reason, func(t *testing.T) {
			var arrived sync.WaitGroup
			sink := serve(t, func(http.ResponseWriter, *http.Request) {
				if row.atOnce > 1 {
					arrived.Done()
					arrived.Wait() // All are under way at once.
				}
			})
			c, err := NewClient(row.options)
			require.NoError(t, err)
			defer c.Close()
			for range 2 {
				arrived.Add(n)
				errs := make(chan error)
				for range n {
					go func() { errs <- c.Deliver(t.Context(), get(sink.URL, nil), Retry{Tries: 1}) }()
				}
				for range n {
					require.NoError(t, <-errs)
				}
				if row.atOnce == 1 {
					arrived.Add(-n)
				}
			}
			require.Equal(t, row.made, sink.connections.Load())
		})
	}
}

// A server that takes the connection and then says nothing.
func TestAConnectionThatComesToNothingIsGivenUp(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	c, err := NewClient(ClientOptions{Name: "the server", ConnectTimeout: time.Millisecond})
	require.NoError(t, err)
	defer c.Close()
	err = c.Deliver(t.Context(), get("https://"+listener.Addr().String(), nil), Retry{Tries: 1})
	require.ErrorContains(t, err, "timeout")
}
