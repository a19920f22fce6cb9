// Package kubefault stands between functions and their Kubernetes API server
// and makes calls fail: before they reach the server, or after they took effect
// there, when only the answer is lost. TLS and HTTP/2 are as on the direct way,
// so that a connection that breaks takes its neighbours with it.
package kubefault

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// delay is how late a delayed call or answer comes: several calls' length.
const delay = 150 * time.Millisecond

// Call is one API call of a function.
type Call struct {
	// Verb is list, get, create, patch or delete; or, for what is told and
	// nothing depends on, event; or, for the Get of a ConfigMap, brake.
	Verb string
	// Subjects are what the call is about: the first 12 characters of each
	// fingerprint, which stand in its selector or in its object's name.
	Subjects []string
	// Name is the name of the object that the call is about, if it is about one.
	Name string
}

// Kind is what goes wrong with a call.
type Kind string

// The kinds.
const (
	// Throttled and Unavailable say Retry-After, on which client-go tries
	// again by itself; Error and Timeout are left to its caller.
	Throttled   Kind = "429"
	Error       Kind = "500"
	Unavailable Kind = "503"
	Timeout     Kind = "504"
	// Reset breaks the connection, with all other calls on it.
	Reset Kind = "reset"
	// Abort breaks only this call's stream.
	Abort Kind = "abort"
	// Delay is no failure: the call, or its answer, comes late.
	Delay Kind = "delay"
	// Hang gives no answer until the client gives up.
	Hang Kind = "hang"
)

// Kinds are all that are soon over: all but [Hang].
func Kinds() []Kind { return []Kind{Throttled, Error, Unavailable, Timeout, Reset, Abort, Delay} }

// Fault is something that goes wrong with a call; the zero value is nothing.
type Fault struct {
	Kind Kind
	// After says that the call takes effect first.
	After bool
}

// Proxy is the way to an API server.
type Proxy struct {
	server *httptest.Server
	client *http.Client
	config *rest.Config
	choose func(Call) Fault
	ahead  time.Duration

	mu    sync.Mutex
	tally map[string]int
}

type connKey struct{}

// New starts a proxy to the API server of a client configuration. choose picks
// the fault of each call; it is called from many goroutines at once.
func New(config *rest.Config, choose func(Call) Fault) (*Proxy, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the API server: %w", err)
	}
	p := &Proxy{client: client, config: config, choose: choose, tally: map[string]int{}}
	p.server = httptest.NewUnstartedServer(p)
	p.server.EnableHTTP2 = true
	p.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	p.server.StartTLS()
	return p, nil
}

// Ahead makes the API server's clock seem to be ahead of the real one, so that
// its objects seem that much older.
func (p *Proxy) Ahead(d time.Duration) { p.ahead = d }

// Close ends the proxy and all that hangs in it.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// Cluster is the proxy as a kubeconfig names it, in place of the API server.
func (p *Proxy) Cluster() *clientcmdapi.Cluster {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	return &clientcmdapi.Cluster{Server: p.server.URL, CertificateAuthorityData: ca}
}

// ServeHTTP lets a call through, or lets it fail.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // The client went away.
	}
	call := callOf(r, body)
	fault := p.choose(call)
	p.note(call, fault)
	if fault.Kind == "" {
		p.forward(r, body).write(w)
		return
	}
	if fault.After || fault.Kind == Delay {
		if !fault.After {
			wait(r.Context(), delay)
		}
		done := p.forward(r, body)
		if fault.Kind == Delay {
			if fault.After {
				wait(r.Context(), delay)
			}
			done.write(w)
			return
		}
	}
	fault.fail(w, r)
}

// fail ends a call without its answer.
func (f Fault) fail(w http.ResponseWriter, r *http.Request) {
	switch f.Kind {
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Reset:
		if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			c.Close()
		}
		panic(http.ErrAbortHandler)
	case Abort:
		panic(http.ErrAbortHandler)
	case Throttled, Unavailable:
		w.Header().Set("Retry-After", "1")
	}
	status, err := strconv.Atoi(string(f.Kind))
	if err != nil {
		panic(fmt.Sprintf("no such fault: %q", f.Kind))
	}
	http.Error(w, "injected fault", status)
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// forward makes the call at the API server. When that fails, the client sees a
// broken stream.
func (p *Proxy) forward(r *http.Request, body []byte) answer {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, p.config.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header = r.Header.Clone()
	out.Header.Del("Accept-Encoding")
	resp, err := p.client.Do(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil && p.ahead != 0 {
		resp.Header.Set("Date", date.Add(p.ahead).Format(http.TimeFormat))
	}
	return answer{resp.StatusCode, resp.Header, text}
}

func (a answer) write(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	// A failed write has no reader any more.
	_, _ = w.Write(a.body)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// callOf reads what a request is about.
func callOf(r *http.Request, body []byte) Call {
	if strings.HasSuffix(r.URL.Path, "/configmaps") {
		return Call{Verb: "dead letters"}
	}
	if selector := r.URL.Query().Get("fieldSelector"); selector != "" {
		_, fingerprint, _ := strings.Cut(selector, "=")
		return Call{Verb: "list", Subjects: []string{fingerprint[:min(12, len(fingerprint))]}}
	}
	if selector := r.URL.Query().Get("labelSelector"); selector != "" {
		_, labels, _ := strings.Cut(strings.Trim(selector, ")"), "(")
		return Call{Verb: "list", Subjects: strings.Split(labels, ",")}
	}
	if strings.HasSuffix(r.URL.Path, "/events") {
		return Call{Verb: "event"}
	}
	if strings.Contains(r.URL.Path, "/configmaps/") {
		return Call{Verb: "brake"}
	}
	name := path.Base(strings.TrimSuffix(r.URL.Path, "/status"))
	verb := map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPatch: "patch", http.MethodDelete: "delete",
	}[r.Method]
	if verb == "create" {
		var o struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		// A body that is no object is about nothing.
		_ = json.Unmarshal(body, &o)
		name = o.Metadata.Name
	}
	_, subject, _ := strings.Cut(name, "-")
	subject, _, _ = strings.Cut(subject, "-")
	return Call{verb, []string{subject}, name}
}

func (p *Proxy) note(c Call, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally[c.Verb+" calls"]++
	switch {
	case f.Kind == "":
	case f.After:
		p.tally[c.Verb+" "+string(f.Kind)+" after"]++
	default:
		p.tally[c.Verb+" "+string(f.Kind)+" before"]++
	}
}

// Tally is how many calls there were by verb ("list calls"), and how many
// faults by verb, kind and moment ("create 503 after").
func (p *Proxy) Tally() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.tally)
}
