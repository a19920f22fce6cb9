package source

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
	"onefire/function/telemetry"
)

// pair is a new certificate for loopback and its key, in PEM.
func pair(t *testing.T, serial int64) (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
}

func TestACertificateIsReadAgainWhenItChanges(t *testing.T) {
	cert, key := pair(t, 1)
	c := settings("http://127.0.0.1:1")
	c.CertFile, c.KeyFile = file(t, "tls.crt", cert), file(t, "tls.key", key)
	log := &lines{}
	s, err := New(t.Context(), c, log)
	require.NoError(t, err)
	var passed atomic.Int64
	renewing, err := newCertificate(c.CertFile, c.KeyFile, func() time.Time { return noon.Add(time.Duration(passed.Load())) }, s.log)
	require.NoError(t, err)
	s.server.TLSConfig.GetCertificate = renewing.get
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()

	serial := func(trusted string) int64 {
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM([]byte(trusted)))
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
		defer client.CloseIdleConnections()
		resp, err := client.Post("https://"+listener.Addr().String()+"/alertmanager", "application/json", strings.NewReader("{}"))
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	require.EqualValues(t, 1, serial(cert))
	started := log.with(t, "started")
	require.Len(t, started, 1)
	require.Equal(t, telemetry.Version(), started[0]["version"])
	cert2, key2 := pair(t, 2)
	require.NoError(t, os.WriteFile(c.CertFile, []byte(cert2), 0o600))
	passed.Add(int64(fileAge))
	require.EqualValues(t, 1, serial(cert), "half a renewal changes nothing")
	require.Len(t, log.with(t, "the certificate is not renewed"), 1)
	require.NoError(t, os.WriteFile(c.KeyFile, []byte(key2), 0o600))
	require.EqualValues(t, 1, serial(cert), "the files are not read each time")
	passed.Add(int64(fileAge))
	require.EqualValues(t, 2, serial(cert2))
	require.Len(t, log.with(t, "the certificate is not renewed"), 1, "this one was")
	require.NoError(t, os.Remove(c.KeyFile))
	passed.Add(int64(fileAge))
	require.EqualValues(t, 2, serial(cert2), "what cannot be read changes nothing")
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, <-served)
}

func TestACertificateThatIsNoneStopsTheStart(t *testing.T) {
	cert, _ := pair(t, 1)
	good, bad, none := file(t, "tls.crt", cert), file(t, "bad", "no"), filepath.Join(t.TempDir(), "none")
	for reason, row := range map[string]struct{ cert, key, err string }{
		"no pair":        {bad, bad, "TLS_CERT_FILE, TLS_KEY_FILE: reading the certificate: tls: "},
		"no certificate": {none, bad, "TLS_CERT_FILE, TLS_KEY_FILE: reading the certificate: open " + none},
		"no key":         {good, none, "TLS_CERT_FILE, TLS_KEY_FILE: reading the certificate's key: open " + none},
	} {
		c := settings("http://127.0.0.1:1")
		c.CertFile, c.KeyFile = row.cert, row.key
		_, err := New(t.Context(), c, &lines{})
		require.ErrorContains(t, err, row.err, reason)
	}
}

func TestTLSIsSpokenFromVersion12On(t *testing.T) {
	cert, key := pair(t, 1)
	c := settings("http://127.0.0.1:1")
	c.CertFile, c.KeyFile = file(t, "tls.crt", cert), file(t, "tls.key", key)
	log := &lines{}
	s, err := New(t.Context(), c, log)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(cert)))
	for version, spoken := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: version})
		require.Equal(t, spoken, err == nil, "%s: %v", tls.VersionName(version), err)
		if spoken {
			require.NoError(t, conn.Close())
		}
	}
	require.Eventually(t, func() bool {
		return strings.Contains(log.String(), `"level":"DEBUG","msg":"http: TLS handshake error`)
	}, patience, time.Millisecond, "a connection that failed is in the log, and not loud")
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, <-served)
}

func TestTheSinkIsTrustedByKCACerts(t *testing.T) {
	b := &broker{}
	b.Server = newTLSServer(t, b)
	trusting := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate().Raw}))
	for certs, want := range map[string]int{trusting: http.StatusOK, "": http.StatusServiceUnavailable} {
		f := start(t, b, func(c *config.Source) { c.CACerts = certs })
		f.requireStatus(want, simple)
	}
}
