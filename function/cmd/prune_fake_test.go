package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// fault is what a call is answered in place of the right answer, before or after
// its effect; status 0 ends the connection.
type fault struct {
	status     int
	reason     metav1.StatusReason
	retryAfter string
	after      bool
}

// fakeServer is an API server that has objects of any kind, lists them in pages in the
// order of etcd's keys, and deletes them under preconditions.
type fakeServer struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string]map[string]any // By path.
	faults  map[string][]fault        // By verb; each happens once.
	calls   []string                  // Verb and path.
	limits  []string                  // Of Lists.
	version int
	// date is the clock, which stands still; without it answers have no date.
	date time.Time
	// padding is how many bytes each item of a List has beside its text.
	padding int
	// meet is called before each call, if there is one, with its verb and path.
	meet func(verb, path string)
}

func startFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	k := &fakeServer{objects: map[string]map[string]any{}, faults: map[string][]fault{}, date: start}
	k.Server = httptest.NewServer(k)
	t.Cleanup(k.Close)
	return k
}

func (k *fakeServer) config(t *testing.T) *rest.Config {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &rest.Config{Host: k.URL, Transport: transport}
}

// start is the time on the API server's clock.
var start = time.Now().Truncate(time.Second)

const (
	requestsAPI = "/apis/kubernaut.ai/v1alpha1"
	lettersAPI  = "/api/v1"
)

// put makes or changes an object.
func (k *fakeServer) put(api, namespace, resource, name string, o map[string]any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.version++
	m := o["metadata"].(map[string]any)
	m["name"], m["namespace"], m["resourceVersion"] = name, namespace, strconv.Itoa(k.version)
	if m["uid"] == nil {
		m["uid"] = "uid-" + strconv.Itoa(k.version)
	}
	k.objects[api+"/namespaces/"+namespace+"/"+resource+"/"+name] = o
}

// left are the names of the objects of a resource that are there, with their
// namespaces.
func (k *fakeServer) left(resource string) (names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for path := range k.objects {
		if parts := strings.Split(path, "/"); parts[len(parts)-2] == resource {
			names = append(names, parts[len(parts)-3]+"/"+parts[len(parts)-1])
		}
	}
	slices.Sort(names)
	return names
}

func (k *fakeServer) count(verb string) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, call := range k.calls {
		if strings.HasPrefix(call, verb+" ") {
			n++
		}
	}
	return n
}

func (k *fakeServer) fail(verb string, faults ...fault) {
	k.faults[verb] = append(k.faults[verb], faults...)
}

func (k *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	verb := map[string]string{http.MethodGet: "list", http.MethodDelete: "delete"}[r.Method]
	if k.meet != nil {
		k.meet(verb, r.URL.Path)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls = append(k.calls, verb+" "+r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	if w.Header()["Date"] = nil; !k.date.IsZero() {
		w.Header().Set("Date", k.date.UTC().Format(http.TimeFormat))
	}
	var f *fault
	if all := k.faults[verb]; len(all) > 0 {
		f, k.faults[verb] = &all[0], all[1:]
	}
	if f != nil && f.after {
		k.answer(httptest.NewRecorder(), r, verb)
	}
	switch {
	case f == nil:
		k.answer(w, r, verb)
	case f.status == 0:
		panic(http.ErrAbortHandler)
	default:
		if f.retryAfter != "" {
			w.Header().Set("Retry-After", f.retryAfter)
			http.Error(w, "please try again later", f.status) // As an API server that has too much to do.
			return
		}
		refuse(w, f.status, f.reason)
	}
}

func (k *fakeServer) answer(w http.ResponseWriter, r *http.Request, verb string) {
	if verb == "list" {
		k.list(w, r)
		return
	}
	o, there := k.objects[r.URL.Path]
	if !there {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	var options metav1.DeleteOptions
	if err := json.NewDecoder(r.Body).Decode(&options); err != nil || options.Preconditions == nil || options.Preconditions.UID == nil || options.Preconditions.ResourceVersion == nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
		return
	}
	m := o["metadata"].(map[string]any)
	if m["uid"] != string(*options.Preconditions.UID) || m["resourceVersion"] != *options.Preconditions.ResourceVersion {
		refuse(w, http.StatusConflict, metav1.StatusReasonConflict)
		return
	}
	delete(k.objects, r.URL.Path)
	fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
}

func (k *fakeServer) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	k.limits = append(k.limits, q.Get("limit"))
	label, value, _ := strings.Cut(q.Get("labelSelector"), "=")
	parts := strings.Split(r.URL.Path, "/")
	resource := parts[len(parts)-1]
	api, _, one := strings.Cut(strings.TrimSuffix(r.URL.Path, "/"+resource), "/namespaces/")
	type keyed struct {
		key string
		o   map[string]any
	}
	var all []keyed
	for path, o := range k.objects {
		m := o["metadata"].(map[string]any)
		if !strings.HasPrefix(path, api+"/namespaces/") || one && !strings.HasPrefix(path, r.URL.Path+"/") || !strings.Contains(path, "/"+resource+"/") {
			continue
		}
		if labels, _ := m["labels"].(map[string]any); labels[label] == value {
			all = append(all, keyed{fmt.Sprint(m["namespace"], "/", m["name"]), o})
		}
	}
	slices.SortFunc(all, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	limit, _ := strconv.Atoi(q.Get("limit"))
	items, more := []map[string]any{}, ""
	for _, one := range all {
		if one.key <= q.Get("continue") {
			continue
		}
		if len(items) == limit {
			more = fmt.Sprint(items[limit-1]["metadata"].(map[string]any)["namespace"], "/", items[limit-1]["metadata"].(map[string]any)["name"])
			break
		}
		items = append(items, one.o)
	}
	fmt.Fprint(w, `{"kind":"SomeList","items":[`)
	padding := bytes.Repeat([]byte(" "), k.padding)
	for i, one := range items {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		_ = json.NewEncoder(w).Encode(one)
		if _, err := w.Write(padding); err != nil {
			return
		}
	}
	fmt.Fprintf(w, `],"metadata":{"continue":%q}}`, more)
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: "as the test wants it",
	})
}

// lines are a log's, by message.
func lines(t *testing.T, log string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var one map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &one), line)
		all = append(all, one)
	}
	return all
}
