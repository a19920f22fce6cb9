package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"onefire/config"
	"onefire/function"
	"onefire/function/deadletters"
	"onefire/mapping"
	"onefire/test/datastorage"
)

// recipient is what takes events.
type recipient struct {
	url string
	// effects is how much has come of the events so far.
	effects func(t *testing.T) int
	// setDown makes what it stands on fail, or not.
	setDown func(down bool)
	// letters are set where events are kept as they came.
	letters *configMaps
}

// recipients are all that take events, by the names that the table has.
var recipients = map[string]func(*testing.T) *recipient{"function": startFunction, "dead-letter store": startStore}

var namespaces atomic.Int64

// startFunction starts the function on a namespace of its own, behind a proxy
// that can take the API server away. Its effects are occurrences.
func startFunction(t *testing.T) *recipient {
	t.Helper()
	data, err := datastorage.Open(datastorage.Options{Path: filepath.Join(t.TempDir(), "data.db"), Schema: mapping.Schema202608})
	require.NoError(t, err)
	sink := httptest.NewServer(data)
	kube, err := clientcmd.LoadFromFile(kubeconfig)
	require.NoError(t, err)
	api, down := behindProxy(t, kube)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*api, path))
	namespace := fmt.Sprintf("conformance-%d", namespaces.Add(1))
	f := function.New()
	require.NoError(t, f.Start(context.WithoutCancel(t.Context()), map[string]string{
		"KUBECONFIG": path, "AUDIT_SINK": sink.URL + datastorage.AuditPath, "REMEDIATION_NAMESPACE": namespace, "LOG_LEVEL": "error",
	}))
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, f.Stop(context.Background()))
		sink.Close()
		require.NoError(t, data.Close())
	})
	return &recipient{url: server.URL, setDown: down.Store, effects: func(t *testing.T) int {
		all, err := objects.Namespace(namespace).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		sum := 0
		for i := range all.Items {
			n, _, err := unstructured.NestedInt64(all.Items[i].Object, "status", "deduplication", "occurrenceCount")
			require.NoError(t, err)
			sum += int(n)
		}
		return sum
	}}
}

// behindProxy puts a proxy before an API server, which answers 503 when it is
// told to.
func behindProxy(t *testing.T, to *clientcmdapi.Config) (*clientcmdapi.Config, *atomic.Bool) {
	config, err := clientcmd.NewDefaultClientConfig(*to, nil).ClientConfig()
	require.NoError(t, err)
	target, err := url.Parse(config.Host)
	require.NoError(t, err)
	transport, err := rest.TransportFor(config)
	require.NoError(t, err)
	var down atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	proxied := clientcmdapi.NewConfig()
	proxied.Clusters["x"] = &clientcmdapi.Cluster{Server: server.URL}
	proxied.AuthInfos["x"] = &clientcmdapi.AuthInfo{}
	proxied.Contexts["x"] = &clientcmdapi.Context{Cluster: "x", AuthInfo: "x"}
	proxied.CurrentContext = "x"
	return proxied, &down
}

// startStore starts the dead-letter store. Its effects are dead letters.
func startStore(t *testing.T) *recipient {
	t.Helper()
	kube := startConfigMaps(t)
	c, err := config.LoadDeadLetters(map[string]string{"KUBECONFIG": kube.kubeconfig(t), "LISTEN_ADDRESS": "127.0.0.1:0"})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	logged, logs := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- errors.Join(deadletters.Serve(ctx, c, logs), logs.Close()) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	// A port that was free a moment ago may be another test's by now: it is the
	// store that finds one, and its log's first line says which.
	lines := bufio.NewReader(logged)
	first, err := lines.ReadBytes('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, lines) }() // It ends with the store.
	var started struct{ Address string }
	require.NoError(t, json.Unmarshal(first, &started))
	r := &recipient{url: "http://" + started.Address, setDown: kube.setDown, letters: kube, effects: func(t *testing.T) int { return len(kube.letters(t)) }}
	require.Eventually(t, func() bool {
		resp, err := http.Get(r.url + "/health/readiness")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, patience, 10*time.Millisecond)
	return r
}

// request is an HTTP request that a test sends.
type request struct {
	method string
	header map[string]string
	body   string
}

// response is what came back.
type response struct {
	status int
	header http.Header
	body   string
}

func (r *recipient) send(t *testing.T, q request) response {
	t.Helper()
	if q.method == "" {
		q.method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), q.method, r.url, bytes.NewReader([]byte(q.body)))
	require.NoError(t, err)
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return response{resp.StatusCode, resp.Header, string(body)}
}

// webhook is a real webhook of Alertmanager, which has one alert at least.
func webhook(t *testing.T) string {
	body, err := os.ReadFile("../../mapping/testdata/alertmanager/am0.34.0-first.json")
	require.NoError(t, err)
	return string(body)
}

// binary is an event in binary mode, with more headers.
func binary(t *testing.T, id string, more map[string]string) request {
	q := request{body: webhook(t), header: map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": "urn:onefire:alertmanager:default", "Ce-Type": "io.prometheus.alerts.v1",
		"Content-Type": "application/json",
	}}
	for name, value := range more {
		q.header[name] = value
	}
	return q
}

// structured is the same event in structured mode.
func structured(t *testing.T, id string) request {
	body := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"urn:onefire:alertmanager:default","type":"io.prometheus.alerts.v1",
		"datacontenttype":"application/json","data":%s}`, id, webhook(t))
	return request{body: body, header: map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"}}
}
