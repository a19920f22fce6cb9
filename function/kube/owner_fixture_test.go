package kube

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"k8s.io/client-go/rest"

	"onefire/mapping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeAPI is an API server for namespace shop. It answers only to Gets of
// metadata, and of whole pods.
type fakeAPI struct {
	mu sync.Mutex
	// owners maps "resource/name" of an object that is there to its owner
	// references in JSON.
	owners map[string]string
	// labels maps an object that is there to its labels in JSON.
	labels map[string]string
	// answers go before that: all that is to be said of one object.
	answers map[string]http.HandlerFunc
	calls   []string
}

// controlled is the owner references of an object with a controller, written
// "apiVersion kind name".
func controlled(by string) string {
	f := strings.Fields(by)
	return fmt.Sprintf(`[{"apiVersion":%q,"kind":%q,"name":%q,"uid":"1","controller":true}]`, f[0], f[1], f[2])
}

var paths = map[string]string{
	"pods": "/api/v1", "replicasets": "/apis/apps/v1", "deployments": "/apis/apps/v1", "statefulsets": "/apis/apps/v1",
	"daemonsets": "/apis/apps/v1", "jobs": "/apis/batch/v1", "cronjobs": "/apis/batch/v1",
	"namespaces": "/api/v1", "nodes": "/api/v1", "persistentvolumes": "/api/v1",
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	group, object, namespaced := strings.Cut(r.URL.Path, "/namespaces/shop/")
	if !namespaced {
		group, object = "/api/v1", strings.TrimPrefix(r.URL.Path, "/api/v1/")
	}
	resource, name, _ := strings.Cut(object, "/")
	if r.Method != http.MethodGet || r.URL.Query().Has("resourceVersion") || paths[resource] != group ||
		!strings.HasPrefix(r.Header.Get("Accept"), metadataOnly) && (resource != "pods" || r.Header.Get("Accept") != "application/json") {
		http.Error(w, "not a call that is made", http.StatusTeapot)
		return
	}
	f.mu.Lock()
	f.calls = append(f.calls, object)
	owners, there := f.owners[object]
	labels, labelled := f.labels[object]
	owners, labels = cmp.Or(owners, "null"), cmp.Or(labels, "null")
	special := f.answers[object]
	f.mu.Unlock()
	switch {
	case special != nil:
		special(w, r)
	case there || labelled:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":%q,"labels":%s,"ownerReferences":%s}}`, name, labels, owners)
	default:
		status(http.StatusNotFound, "NotFound")(w, r)
	}
}

// status answers as an API server that says no.
func status(code int, reason string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
	}
}

func (f *fakeAPI) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

// answer makes an object have an answer of its own, or no longer for nil.
func (f *fakeAPI) answer(object string, with http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answers == nil {
		f.answers = map[string]http.HandlerFunc{}
	}
	f.answers[object] = with
}

// resolver asks that API server.
func (f *fakeAPI) resolver(t testing.TB) *Resolver {
	t.Helper()
	return f.resolverWith(t, ResolverOptions{})
}

func (f *fakeAPI) resolverWith(t testing.TB, o ResolverOptions) *Resolver {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	r, err := NewResolver(&rest.Config{Host: server.URL}, o)
	require.NoError(t, err)
	r.pause = time.Millisecond
	t.Cleanup(func() { r.client.(*rest.RESTClient).Client.CloseIdleConnections() })
	return r
}

// pod is a signal whose labels name a pod in namespace shop.
func pod(name string) mapping.Signal { return about("v1", "Pod", name) }

func about(apiVersion, kind, name string) mapping.Signal {
	return mapping.Signal{Target: mapping.Target{APIVersion: apiVersion, Kind: kind, Name: name, Namespace: "shop"}}
}

// deployed is a Deployment with two pods, and one more ReplicaSet.
func deployed() map[string]string {
	return map[string]string{
		"pods/api-5d9c7b8f4-x7k2p":  controlled("apps/v1 ReplicaSet api-5d9c7b8f4"),
		"pods/api-5d9c7b8f4-b2c4d":  controlled("apps/v1 ReplicaSet api-5d9c7b8f4"),
		"replicasets/api-5d9c7b8f4": controlled("apps/v1 Deployment api"),
		"deployments/api":           "null",
	}
}
