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
	require.NoError(t, os.Remove(c.KeyFile))
	passed.Add(int64(fileAge))
	require.EqualValues(t, 2, serial(cert2), "what cannot be read changes nothing")
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, <-served)
}

func TestACertificateThatIsNoneStopsTheStart(t *testing.T) {
	c := settings("http://127.0.0.1:1")
	c.CertFile, c.KeyFile = file(t, "tls.crt", "no"), file(t, "tls.key", "no")
	_, err := New(t.Context(), c, &lines{})
	require.ErrorContains(t, err, "TLS_CERT_FILE, TLS_KEY_FILE")
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
