package function

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fakeAPI is the part of a Kubernetes API server that keeps RemediationRequests.
// It is a transport, so that calls also work where the clock is a test's own.
type fakeAPI struct {
	// before may answer a call in place of the server; a nil answer is none.
	before func(call string, r *http.Request) *http.Response

	mu      sync.Mutex
	objects map[string]map[string]any
	made    int
	// parents are the traceparents of the calls.
	parents []string
}

func newFakeAPI() *fakeAPI { return &fakeAPI{objects: map[string]map[string]any{}} }

// kubeAnswer is what the API server says.
func kubeAnswer(status int, body any, header ...string) *http.Response {
	text, _ := json.Marshal(body)
	// Its clock stands, as that of the objects that it makes.
	h := http.Header{"Content-Type": {"application/json"}, "Date": {noon.Format(http.TimeFormat)}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(text))}
}

// failure is an answer that says no.
func failure(status int, reason string, header ...string) *http.Response {
	return kubeAnswer(status, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason, "message": reason}, header...)
}

func (f *fakeAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if f.before != nil {
		if resp := f.before(apiCallOf(r).verb, r); resp != nil {
			return resp, nil
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parents = append(f.parents, r.Header.Get("Traceparent"))
	var body map[string]any
	if r.Body != nil {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			return nil, err
		}
	}
	_, name, _ := strings.Cut(r.URL.Path, "/remediationrequests")
	name = strings.TrimSuffix(strings.TrimPrefix(name, "/"), "/status")
	switch o := f.objects[name]; apiCallOf(r).verb {
	case "list":
		return kubeAnswer(http.StatusOK, map[string]any{"kind": "RemediationRequestList", "items": f.list(r)}), nil
	case "create":
		return f.create(body), nil
	case "get":
		if o != nil {
			return kubeAnswer(http.StatusOK, o), nil
		}
	case "patch":
		if o == nil {
			break
		}
		if want := body["metadata"].(map[string]any)["resourceVersion"]; want != o["metadata"].(map[string]any)["resourceVersion"] {
			return failure(http.StatusConflict, "Conflict"), nil
		}
		delete(body, "metadata")
		merge(o, body)
		f.touch(o)
		return kubeAnswer(http.StatusOK, o), nil
	}
	return failure(http.StatusNotFound, "NotFound"), nil
}

// create makes an object, unless there is one of that name.
func (f *fakeAPI) create(o map[string]any) *http.Response {
	meta := o["metadata"].(map[string]any)
	name := meta["name"].(string)
	if f.objects[name] != nil {
		return failure(http.StatusConflict, "AlreadyExists")
	}
	meta["uid"], meta["creationTimestamp"] = "uid-"+name, noon.Format(time.RFC3339)
	f.objects[name] = o
	f.touch(o)
	return kubeAnswer(http.StatusCreated, o)
}

func (f *fakeAPI) touch(o map[string]any) {
	f.made++
	o["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(f.made)
}

func (f *fakeAPI) list(r *http.Request) []map[string]any {
	found := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(f.objects)) {
		o := f.objects[name]
		label := fmt.Sprint(o["metadata"].(map[string]any)["labels"].(map[string]any)["onefire/fingerprint"])
		fingerprint := fmt.Sprint(o["spec"].(map[string]any)["signalFingerprint"])
		query := r.URL.Query()
		if query.Get("fieldSelector") == "spec.signalFingerprint="+fingerprint || strings.Contains(query.Get("labelSelector"), label) {
			found = append(found, o)
		}
	}
	return found
}

// merge is a JSON merge patch.
func merge(into, patch map[string]any) {
	for name, value := range patch {
		inner, isMap := value.(map[string]any)
		if !isMap {
			into[name] = value
			continue
		}
		if _, ok := into[name].(map[string]any); !ok {
			into[name] = map[string]any{}
		}
		merge(into[name].(map[string]any), inner)
	}
}
