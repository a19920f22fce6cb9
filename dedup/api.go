package dedup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"onefire/dedup/client"
)

// Resource is the API resource of RemediationRequests.
var Resource = schema.GroupVersionResource{Group: "kubernaut.ai", Version: "v1alpha1", Resource: "remediationrequests"}

// api is the part of the Kubernetes API that the protocol uses. Its errors are those of
// apimachinery's api/errors.
type api interface {
	// list returns the objects that a selector names. It is linearizable: the answer
	// contains everything that was written before the call. Of a long past it returns
	// only what a decision can depend on, see [pastReducer]. now is the API server's
	// clock.
	list(ctx context.Context, namespace string, s selector) (objects []object, now time.Time, err error)
	get(ctx context.Context, namespace, name string) (object, error)
	create(ctx context.Context, namespace string, body map[string]any) (types.UID, error)
	// patchStatus applies a JSON merge patch to the status subresource and returns the
	// new resourceVersion.
	patchStatus(ctx context.Context, namespace, name string, patch map[string]any) (resourceVersion string, err error)
	// delete deletes an object in exactly this revision, or fails with a conflict.
	delete(ctx context.Context, namespace, name string, uid types.UID, resourceVersion string) error
}

// selector says which objects a List returns: those of one fingerprint, by the immutable
// field of the spec; those of several fingerprints, by label; or, if it has neither, the
// objects without that label.
type selector struct {
	fingerprint string
	labels      []string
	// active leaves the objects in a terminal phase out of a List of one fingerprint.
	active bool
	// urgent calls do not wait for a slot of the limiter, or for memory.
	urgent bool
	// keys are the keys that the caller wants to settle. The answer for a long past
	// contains the keys of ended objects only if they are among these.
	keys []string
}

func (s selector) param() (name, value string) {
	switch {
	case s.active:
		return "fieldSelector", "spec.signalFingerprint=" + s.fingerprint + notEnded
	case s.fingerprint != "":
		// A field selector, because anybody can change a label.
		return "fieldSelector", "spec.signalFingerprint=" + s.fingerprint
	case len(s.labels) > 0:
		return "labelSelector", fingerprintLabel + " in (" + strings.Join(s.labels, ",") + ")"
	default:
		return "labelSelector", "!" + fingerprintLabel
	}
}

// notEnded is the part of a field selector that leaves ended objects out.
var notEnded = func() (selector string) {
	for _, phase := range TerminalPhases() {
		selector += ",status.overallPhase!=" + phase
	}
	return selector
}()

// errTooLarge means that the answer to a List has more bytes than its limit.
var errTooLarge = errors.New("the List is larger than its limit")

// kube is the [api] of a real API server.
type kube struct {
	client  rest.Interface
	limiter *limiter
	budget  memoryBudget
	// long holds the subjects whose last List took several pages.
	long *lru.Cache[subject, struct{}]
	// noPhases is set if the CRD does not declare the phase as a selectable field.
	noPhases atomic.Bool
	// onLongPast is called with each past that was reduced.
	onLongPast func(LongPast)
	// onAltered is called with the labels and annotations that admission changed.
	onAltered func(namespace, name string, changed []string)
	// brake is asked before each attempt of a create; it may be nil.
	brake *brake
}

// connect makes an [api] from a client configuration, which it copies. It opens no
// connection. Our limiter of concurrent calls replaces the configuration's rate limits,
// so that the API server's priority and fairness decides.
func connect(config *rest.Config) (*kube, error) {
	long, err := lru.New[subject, struct{}](maxCached)
	if err != nil {
		return nil, fmt.Errorf("making the cache of long pasts: %w", err)
	}
	k := &kube{limiter: newLimiter(maxCalls), budget: newMemoryBudget(), long: long, onLongPast: func(LongPast) {}, onAltered: func(string, string, []string) {}}
	own := rest.CopyConfig(config)
	own.Wrap(func(rt http.RoundTripper) http.RoundTripper { return transport{rt, k.limiter} })
	k.client, err = client.New(own, "onefire", Resource.GroupVersion())
	return k, err
}

// transport handles what an answer's headers and status say: it stores the Date header
// for a context that asks for it, and halves the limiter after a 429. It sends no request
// whose context carries a brake that is on.
type transport struct {
	http.RoundTripper
	limiter *limiter
}

type dateKey struct{}

func (o transport) RoundTrip(r *http.Request) (*http.Response, error) {
	b, _ := r.Context().Value(brakeKey{}).(*brake)
	if p := b.pause(r.Context()); p != nil {
		return nil, &pausedError{*p}
	}
	resp, err := o.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		o.limiter.halve()
	}
	if now, ok := r.Context().Value(dateKey{}).(*time.Time); ok {
		if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			*now = t
		}
	}
	return resp, nil
}

// do makes one call, in a slot of the limiter, and passes the answer to read. client-go
// waits for an answer's Retry-After and tries again; meanwhile the call keeps its slot.
func (k *kube) do(ctx context.Context, r *rest.Request, read func(io.Reader) error) error {
	release, err := k.limiter.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.doUnlimited(ctx, r, read)
}

// doUnlimited makes a call without a slot of the limiter.
func (k *kube) doUnlimited(ctx context.Context, r *rest.Request, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stream, err := r.Timeout(callTimeout).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	return read(stream)
}

// doObject makes a call whose answer is one object.
func (k *kube) doObject(ctx context.Context, r *rest.Request) (w wireObject, err error) {
	err = k.do(ctx, r, func(answer io.Reader) error {
		w, err = readObject(&boundedReader{answer, maxAnswer}, func(int) error { return nil })
		return err
	})
	return w, err
}

// write makes a call whose answer needs only the object's metadata.
func (k *kube) write(ctx context.Context, r *rest.Request, body map[string]any) (wireObject, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return wireObject{}, fmt.Errorf("encoding a RemediationRequest: %w", err)
	}
	return k.doObject(ctx, r.SetHeader("Accept", metadataOnly).Param("fieldManager", managedBy).Body(text))
}

// metadataOnly asks for an object without spec and status. The API server encodes less,
// and we read less.
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

func (k *kube) request(r *rest.Request, namespace string) *rest.Request {
	return r.Namespace(namespace).Resource(Resource.Resource)
}

func (k *kube) get(ctx context.Context, namespace, name string) (object, error) {
	w, err := k.doObject(ctx, k.request(k.client.Get(), namespace).Name(name))
	return w.observe(), err
}

func (k *kube) create(ctx context.Context, namespace string, body map[string]any) (types.UID, error) {
	ctx = context.WithValue(ctx, brakeKey{}, k.brake)
	w, err := k.write(ctx, k.request(k.client.Post(), namespace), body)
	if err == nil {
		if changed := w.changes(body); len(changed) > 0 {
			k.onAltered(namespace, w.Metadata.Name, changed)
		}
	}
	return w.Metadata.UID, err
}

// changes returns the names of our labels and annotations that an object was created with
// and does not have.
func (w *wireObject) changes(created map[string]any) (changed []string) {
	meta, _ := created["metadata"].(map[string]any)
	for field, has := range map[string]map[string]string{"labels": w.Metadata.Labels, "annotations": w.Metadata.Annotations} {
		sent, _ := meta[field].(map[string]string)
		for name, value := range sent {
			if name != componentLabel && has[name] != value {
				changed = append(changed, name)
			}
		}
	}
	slices.Sort(changed)
	return changed
}

func (k *kube) patchStatus(ctx context.Context, namespace, name string, patch map[string]any) (string, error) {
	w, err := k.write(ctx, k.request(k.client.Patch(types.MergePatchType), namespace).Name(name).SubResource("status"), patch)
	return w.Metadata.ResourceVersion, err
}

func (k *kube) delete(ctx context.Context, namespace, name string, uid types.UID, resourceVersion string) error {
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "DeleteOptions",
		"preconditions": map[string]any{"uid": uid, "resourceVersion": resourceVersion},
	})
	if err != nil {
		return fmt.Errorf("encoding a delete request: %w", err)
	}
	return k.do(ctx, k.request(k.client.Delete(), namespace).Name(name).Body(text), discard)
}

// discard reads an answer to its end, so that the connection can be reused.
func discard(answer io.Reader) error {
	_, err := io.Copy(io.Discard, io.LimitReader(answer, maxAnswer))
	return err
}

// Codes of a [RejectedError] for a namespace that does not exist or is being deleted.
const (
	NamespaceNotFound    = "ERR_K8S_NAMESPACE_NOT_FOUND"
	NamespaceTerminating = "ERR_K8S_NAMESPACE_TERMINATING"
)

// QuotaError means that the API server refuses to create an object because the namespace
// already has as many as a ResourceQuota allows.
type QuotaError struct {
	// Quota is the name of the ResourceQuota.
	Quota string
	Err   error
}

func (e *QuotaError) Error() string { return e.Err.Error() }

func (e *QuotaError) Unwrap() error { return e.Err }

// RejectedError means that the API server will never accept this object, however often it
// is sent.
type RejectedError struct {
	// Code is the error code in the audit contract.
	Code string
	Err  error
}

func (e *RejectedError) Error() string { return e.Err.Error() }

func (e *RejectedError) Unwrap() error { return e.Err }

// OfNamespace tells whether the API server would refuse any object in this namespace.
func (e *RejectedError) OfNamespace() bool {
	return e.Code == NamespaceNotFound || e.Code == NamespaceTerminating
}

// rejected returns a [RejectedError] if a create failed because of the object itself, so
// that no retry can succeed, and nil otherwise. Missing permissions, a missing CRD and an
// admission policy give nil: an operator can correct those while the event is
// redelivered.
func rejected(err error) *RejectedError {
	switch {
	case client.Invalid(err):
		return &RejectedError{Code: "ERR_K8S_INVALID", Err: err}
	case client.TooLarge(err):
		return &RejectedError{Code: "ERR_K8S_TOO_LARGE", Err: err}
	case apierrors.IsNotFound(err) && missingNamespace(err):
		return &RejectedError{Code: NamespaceNotFound, Err: err}
	case client.Terminating(err):
		return &RejectedError{Code: NamespaceTerminating, Err: err}
	}
	return nil
}

func missingNamespace(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}
