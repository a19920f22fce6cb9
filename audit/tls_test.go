package audit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// secure starts a fake sink with TLS, and gives its certificate in PEM.
func secure(t *testing.T, http2 bool) (*fake, string) {
	f := unstarted(t, status(http.StatusCreated))
	f.EnableHTTP2 = http2
	f.StartTLS()
	return f, inPEM(f.Certificate().Raw)
}

func inPEM(certificate []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
}

// stranger is a certificate that has nothing to do with any sink.
func stranger(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return inPEM(certificate)
}

func TestTrustedSinkIsDeliveredTo(t *testing.T) {
	tests := map[string]struct {
		http2   bool
		options func(t *testing.T, certificate string) Options
	}{
		"trusted by a file": {false, func(t *testing.T, c string) Options {
			return Options{CAFile: caFile(t, c)}
		}},
		"trusted by certificates": {false, func(_ *testing.T, c string) Options {
			return Options{CACerts: c}
		}},
		"trusted by the file of both": {false, func(t *testing.T, c string) Options {
			return Options{CAFile: caFile(t, c), CACerts: stranger(t)}
		}},
		"trusted by the certificates of both": {false, func(t *testing.T, c string) Options {
			return Options{CAFile: caFile(t, stranger(t)), CACerts: c}
		}},
		"trusted by the second of a bundle": {false, func(t *testing.T, c string) Options {
			return Options{CAFile: caFile(t, stranger(t)+c)}
		}},
		"trusted over HTTP/2": {true, func(t *testing.T, c string) Options {
			return Options{CAFile: caFile(t, c)}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sink, certificate := secure(t, tt.http2)
			o := tt.options(t, certificate)
			o.URL = sink.URL
			s := open(t, o)
			require.NoError(t, s.Ready(t.Context()))
			require.NoError(t, one(t.Context(), s, sample()))
			require.Equal(t, sample().ID, sink.seen()[1].header.Get("Ce-Causationid"))
			require.Equal(t, tt.http2, sink.seen()[1].proto == "HTTP/2.0")
			require.EqualValues(t, 1, sink.connections.Load())
		})
	}
}

func caFile(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "ca.crt")
	write(t, path, text)
	return path
}

func TestUntrustedSinkIsNotDeliveredTo(t *testing.T) {
	for name, o := range map[string]Options{
		"the system does not know it": {},
		"another is trusted":          {CACerts: stranger(t)},
	} {
		t.Run(name, func(t *testing.T) {
			sink, _ := secure(t, false)
			o.URL = sink.URL
			s := open(t, o)
			err := one(t.Context(), s, sample())
			var unknown x509.UnknownAuthorityError
			require.ErrorAs(t, err, &unknown)
			require.Equal(t, unavailable, verdictOf(err), "an operator can put it right")
			require.ErrorAs(t, s.Ready(t.Context()), &unknown)
			require.Empty(t, sink.seen())
		})
	}
}

func TestNewRefusesWhatHoldsNoCertificate(t *testing.T) {
	broken := "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"
	for name, o := range map[string]Options{
		"certificates that are no PEM":     {CACerts: "not PEM"},
		"a file that is no PEM":            {CAFile: caFile(t, "not PEM")},
		"PEM that holds no certificate":    {CACerts: broken},
		"a file that holds no certificate": {CAFile: caFile(t, broken)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(o)
			require.ErrorContains(t, err, "holds no certificate in PEM")
		})
	}
}

func TestNewRefusesACAFileThatIsMissing(t *testing.T) {
	_, err := New(Options{CAFile: filepath.Join(t.TempDir(), "ca.crt")})
	require.ErrorIs(t, err, fs.ErrNotExist)
}
