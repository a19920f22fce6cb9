package kingress

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
)

// table maps hosts to their paths.
type table map[string][]path

// path is a route within a host.
type path struct {
	Path          string
	Headers       map[string]struct{ Exact string }
	AppendHeaders map[string]string
	RewriteHost   string
	Splits        []split
}

// split is a share of a path's traffic.
type split struct {
	ServiceName, ServiceNamespace string
	// ServicePort is a number or a name. Knative uses numbers.
	ServicePort   json.RawMessage
	Percent       int
	AppendHeaders map[string]string
}

// match finds the path of a request; nil when there is none.
func (t table) match(r *http.Request) *path {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	for i, p := range t[host] {
		if p.matches(r) {
			return &t[host][i]
		}
	}
	return nil
}

func (p path) matches(r *http.Request) bool {
	if !strings.HasPrefix(r.URL.Path, p.Path) {
		return false
	}
	for name, want := range p.Headers {
		if r.Header.Get(name) != want.Exact {
			return false
		}
	}
	return len(p.Splits) > 0
}

// choose picks a split by its share; roll is from 0 to 99.
func (p path) choose(roll int) split {
	for _, s := range p.Splits {
		if roll -= s.Percent; roll < 0 {
			return s
		}
	}
	return p.Splits[len(p.Splits)-1]
}

// newProxy passes requests on to the Service that the table says. A backend that
// cannot be reached is 503, as Envoy answers.
func newProxy(routes *atomic.Pointer[table]) http.Handler {
	transport := &http.Transport{
		// A kept connection would stay with one pod of the Service.
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{Timeout: dialTimeout}).DialContext,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := routes.Load().match(r)
		if p == nil {
			http.Error(w, "no such host", http.StatusNotFound)
			return
		}
		s := p.choose(rand.IntN(percents))
		target := &url.URL{Scheme: "http", Host: fmt.Sprintf("%s.%s.svc.cluster.local:%s", s.ServiceName, s.ServiceNamespace, s.ServicePort)}
		(&httputil.ReverseProxy{
			Transport: transport, FlushInterval: -1,
			Rewrite: func(out *httputil.ProxyRequest) {
				out.SetURL(target)
				out.SetXForwarded()
				out.Out.Host = r.Host
				if p.RewriteHost != "" {
					out.Out.Host = p.RewriteHost
				}
				for _, headers := range []map[string]string{p.AppendHeaders, s.AppendHeaders} {
					for name, value := range headers {
						out.Out.Header.Set(name, value)
					}
				}
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				slog.Warn("a request could not be passed on", "to", target.Host, "error", err)
				w.WriteHeader(http.StatusServiceUnavailable)
			},
		}).ServeHTTP(w, r)
	})
}
