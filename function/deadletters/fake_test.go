package deadletters

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const namespace = "onefire"

// fault is what goes wrong in a call: an answer instead of the right one,
// before or after the effect; status 0 ends the connection. recorded names an answer
// of a real API server.
type fault struct {
	verb     string
	status   int
	after    bool
	recorded string
}

// kube is an API server that has ConfigMaps in one namespace, and refuses what
// a real one would refuse of them.
type kube struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string]*configMap
	version int
	faults  []fault // Each happens once.
	calls   []string
	meet    func(verb string) // Called in each call, if there is one.
}

func startKube(t *testing.T) *kube {
	k := &kube{objects: map[string]*configMap{}}
	k.Server = httptest.NewServer(k)
	t.Cleanup(k.Close)
	return k
}

// fail makes the next calls of a verb fail.
func (k *kube) fail(faults ...fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = append(k.faults, faults...)
}

func (k *kube) fault(verb string) *fault {
	for i, f := range k.faults {
		if f.verb == verb {
			k.faults = slices.Delete(k.faults, i, i+1)
			return &f
		}
	}
	return nil
}

// all are the objects there are, by name.
func (k *kube) all() map[string]*configMap {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]*configMap{}
	for name, c := range k.objects {
		out[name] = c
	}
	return out
}

// one is the only object there is.
func (k *kube) one(t *testing.T) *configMap {
	t.Helper()
	all := k.all()
	require.Len(t, all, 1)
	for _, c := range all {
		return c
	}
	return nil
}

// put makes an object, or replaces it.
func (k *kube) put(c *configMap) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.version++
	c.ResourceVersion, c.UID = strconv.Itoa(k.version), types.UID("uid-"+strconv.Itoa(k.version))
	if c.CreationTimestamp.IsZero() {
		c.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, k.version, 0, time.UTC))
	}
	k.objects[c.Name] = c
}

func (k *kube) remove(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.objects, name)
}

func (k *kube) count(verb string) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, call := range k.calls {
		if call == verb {
			n++
		}
	}
	return n
}

func (k *kube) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/"+namespace+"/configmaps")
	name := strings.TrimPrefix(rest, "/")
	verb := map[string]string{http.MethodPost: "create", http.MethodGet: "get", http.MethodDelete: "delete"}[r.Method]
	if verb == "get" && name == "" {
		verb = "list"
	}
	if !ok || verb == "" {
		refuseCall(w, http.StatusForbidden, metav1.StatusReasonForbidden, "no such right")
		return
	}
	k.mu.Lock()
	k.calls = append(k.calls, verb)
	f := k.fault(verb)
	k.mu.Unlock()
	if k.meet != nil {
		k.meet(verb)
	}
	if f != nil && f.after {
		k.answer(httptest.NewRecorder(), r, verb, name, body)
	}
	switch {
	case f != nil && f.recorded != "":
		text, _ := os.ReadFile("../../dedup/client/testdata/refusals/" + f.recorded + ".json")
		var s metav1.Status
		_ = json.Unmarshal(text, &s)
		refuse(w, s) // Without a file it is no answer at all.
	case f != nil && f.status == 0:
		panic(http.ErrAbortHandler)
	case f != nil:
		refuseCall(w, f.status, metav1.StatusReasonUnknown, "as the test wants it")
	default:
		k.answer(w, r, verb, name, body)
	}
}

func (k *kube) answer(w http.ResponseWriter, r *http.Request, verb, name string, body []byte) {
	switch verb {
	case "list":
		k.list(w, r)
		return
	case "create":
		k.create(w, body)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.objects[name]
	if c == nil {
		refuseCall(w, http.StatusNotFound, metav1.StatusReasonNotFound, "configmaps "+name+" not found")
		return
	}
	if verb == "get" {
		write(w, c)
		return
	}
	var o metav1.DeleteOptions
	if err := json.Unmarshal(body, &o); err != nil || o.Kind != "DeleteOptions" || o.APIVersion != "v1" || o.Preconditions == nil || o.Preconditions.UID == nil || o.Preconditions.ResourceVersion == nil {
		refuseCall(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "no preconditions")
		return
	}
	if *o.Preconditions.UID != c.UID || *o.Preconditions.ResourceVersion != c.ResourceVersion {
		refuseCall(w, http.StatusConflict, metav1.StatusReasonConflict, "precondition failed")
		return
	}
	delete(k.objects, name)
	write(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
}

func (k *kube) create(w http.ResponseWriter, body []byte) {
	var c configMap
	if err := json.Unmarshal(body, &c); err != nil {
		refuseCall(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	if problem := invalid(&c); problem != "" {
		refuse(w, apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, c.Name, field.ErrorList{field.Invalid(field.NewPath("data"), "", problem)}).ErrStatus)
		return
	}
	if _, exists := k.all()[c.Name]; exists {
		refuseCall(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, "configmaps "+c.Name+" already exists")
		return
	}
	c.Namespace = namespace
	k.put(&c)
	write(w, metav1.PartialObjectMetadata{ObjectMeta: c.ObjectMeta})
}

// invalid says what the API server's validation would.
func invalid(c *configMap) string {
	size, annotations := 0, 0
	for _, v := range c.Data {
		size += len(v)
	}
	for _, v := range c.BinaryData {
		size += len(v)
	}
	for key, v := range c.Annotations {
		annotations += len(key) + len(v)
	}
	for key, v := range c.Labels {
		if problems := slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(v)); len(problems) > 0 {
			return fmt.Sprint(key, "=", v, ": ", problems)
		}
	}
	switch {
	case c.Kind != "ConfigMap" || c.APIVersion != "v1":
		return "kind"
	case len(validation.IsDNS1123Subdomain(c.Name)) > 0:
		return "name"
	case size > 1<<20:
		return "Too long: may not be more than 1048576 bytes"
	case annotations > 256<<10:
		return "annotations are too long"
	}
	return ""
}

// list gives the metadata of what the selector names, page by page.
func (k *kube) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("labelSelector") != "onefire/dead-letter=true" || !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") || q.Has("resourceVersion") {
		refuseCall(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "a List that is not asked for as it should be")
		return
	}
	all := k.all()
	var names []string
	for name, c := range all {
		if c.Labels[deadLetterLabel] == "true" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	limit, _ := strconv.Atoi(q.Get("limit"))
	from, _ := strconv.Atoi(q.Get("continue"))
	to := min(len(names), from+limit)
	var page metav1.PartialObjectMetadataList
	for _, name := range names[from:to] {
		page.Items = append(page.Items, metav1.PartialObjectMetadata{ObjectMeta: all[name].ObjectMeta})
	}
	if to < len(names) {
		page.Continue = strconv.Itoa(to)
	}
	write(w, page)
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuseCall(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	refuse(w, metav1.Status{Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message})
}

func refuse(w http.ResponseWriter, s metav1.Status) {
	s.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(s.Code))
	_ = json.NewEncoder(w).Encode(s)
}
