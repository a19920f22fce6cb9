package audit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
)

// deferred is a transport that is made when it is first used: reading the
// system's certificates takes longer than all else that a start has to do.
type deferred func() *http.Transport

func (d deferred) RoundTrip(r *http.Request) (*http.Response, error) { return d().RoundTrip(r) }

func (d deferred) CloseIdleConnections() { d().CloseIdleConnections() }

func newTransport(o ClientOptions, roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: o.ConnectTimeout}).DialContext,
		TLSHandshakeTimeout: o.ConnectTimeout,
		TLSClientConfig: &tls.Config{
			RootCAs:    roots,
			MinVersion: tls.VersionTLS12,
			// An HTTP/1.1 server is talked to over many connections; only the
			// first one has to pay for a whole handshake.
			ClientSessionCache: tls.NewLRUClientSessionCache(maxSessions),
		},
		ForceAttemptHTTP2:   true,
		MaxConnsPerHost:     o.MaxConnections,
		MaxIdleConnsPerHost: o.MaxIdle,
		IdleConnTimeout:     idleTimeout,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: o.PingAfter, PingTimeout: o.PingAfter},
	}
}

// certificates reads what is trusted beside the system's certificates.
func certificates(file, certs string) ([]byte, error) {
	if certs != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(certs)) {
		return nil, errors.New("K_CA_CERTS holds no certificate in PEM")
	}
	if file == "" {
		return []byte(certs), nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the audit sink's CA: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("AUDIT_CA_FILE: %s holds no certificate in PEM", file)
	}
	return slices.Concat(pem, []byte("\n"), []byte(certs)), nil
}

// roots is nil, which means the system's, when no certificates are given.
func roots(certificates []byte) *x509.CertPool {
	if len(certificates) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(certificates)
	return pool
}
