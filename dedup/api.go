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

// Resource is the RemediationRequest's API.
var Resource = schema.GroupVersionResource{Group: "kubernaut.ai", Version: "v1alpha1", Resource: "remediationrequests"}

// api is the Kubernetes API as far as the protocol uses it. Errors are those of
// apimachinery's api/errors.
type api interface {
	// list returns the objects that a selector names, linearizable: what was
	// written before the call is in it. Of a long past it returns what a decision
	// can depend on: see keeper. now is the API server's clock.
	list(ctx context.Context, namespace string, s selector) (objects []object, now time.Time, err error)
	get(ctx context.Context, namespace, name string) (object, error)
	create(ctx context.Context, namespace string, body map[string]any) (types.UID, error)
	// patchStatus applies a JSON merge patch to the status subresource and
	// returns the new revision.
	patchStatus(ctx context.Context, namespace, name string, patch map[string]any) (resourceVersion string, err error)
	// delete deletes that very revision of an object, or fails with a conflict.
	delete(ctx context.Context, namespace, name string, uid types.UID, resourceVersion string) error
}

// selector says which objects a List returns: those of one fingerprint, by the
// field that cannot change; or by label, which can name several fingerprints at
// once and, if it names none, the objects that have no such label.
type selector struct {
	fingerprint string
	labels      []string
	// active leaves out, of one fingerprint, objects in a phase that is terminal.
	active bool
	// urgent waits for no place among the calls under way.
	urgent bool
	// keys are those that the caller wants to settle. Of a long past, the answer
	// has the keys of ended objects only where they are among these.
	keys []string
}

func (s selector) param() (name, value string) {
	switch {
	case s.active:
		return "fieldSelector", "spec.signalFingerprint=" + s.fingerprint + notEnded
	case s.fingerprint != "":
		// A field selector, because labels can be changed.
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

// errTooLarge means that a List has more to say than is read of it.
var errTooLarge = errors.New("the List is larger than its limit")

// kube is the real API.
type kube struct {
	client  rest.Interface
	limiter *limiter
	budget  memoryBudget
	// long are the subjects whose last List took several pages.
	long *lru.Cache[subject, struct{}]
	// noPhases is set where the CRD lets nobody select by phase.
	noPhases atomic.Bool
	// told is called with each past that is not kept whole.
	onLongPast func(LongPast)
	// altered is called with what admission changed of an object, if it did.
	onAltered func(namespace, name string, changed []string)
	// brake is asked before each try of a create; it may be nil.
	brake *brake
}

// connect makes an [api] of a client configuration. It opens no connection. The
// configuration is copied: its rate limits are replaced by a window of calls
// under way, which lets the API server's priority and fairness do its work.
func connect(config *rest.Config) (*kube, error) {
	long, err := lru.New[subject, struct{}](maxCached)
	if err != nil {
		return nil, fmt.Errorf("making the memory of long pasts: %w", err)
	}
	k := &kube{limiter: newLimiter(maxCalls), budget: newMemoryBudget(), long: long, onLongPast: func(LongPast) {}, onAltered: func(string, string, []string) {}}
	own := rest.CopyConfig(config)
	own.Wrap(func(rt http.RoundTripper) http.RoundTripper { return transport{rt, k.limiter} })
	k.client, err = client.New(own, "onefire", Resource.GroupVersion())
	return k, err
}

// observed notes what the API server says beside its answers: when it gave them,
// for calls whose context asks for it, and that it has too much to do. It sends no call
// whose context has a brake that is on.
type transport struct {
	http.RoundTripper
	limiter *limiter
}

type dateKey struct{}

func (o transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if b, ok := r.Context().Value(brakeKey{}).(*brake); ok {
		if p := b.pause(r.Context()); p != nil {
			return nil, &pausedError{*p}
		}
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

// WrappedRoundTripper lets client-go find the transport that can cancel calls.
func (o transport) WrappedRoundTripper() http.RoundTripper { return o.RoundTripper }

// do makes one call and has its answer read. client-go keeps to the Retry-After of
// an answer and tries again; meanwhile the call keeps its place in the window.
func (k *kube) do(ctx context.Context, r *rest.Request, read func(io.Reader) error) error {
	release, err := k.limiter.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.doUnlimited(ctx, r, read)
}

// now makes a call without a place in the window.
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

// one makes a call whose answer is an object.
func (k *kube) doObject(ctx context.Context, r *rest.Request) (w wireObject, err error) {
	err = k.do(ctx, r, func(answer io.Reader) error {
		w, err = readObject(&boundedReader{answer, maxAnswer}, func(int) error { return nil })
		return err
	})
	return w, err
}

// write makes a call whose answer need not repeat what it sent.
func (k *kube) write(ctx context.Context, r *rest.Request, body map[string]any) (wireObject, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return wireObject{}, fmt.Errorf("encoding a RemediationRequest: %w", err)
	}
	return k.doObject(ctx, r.SetHeader("Accept", metadataOnly).Param("fieldManager", managedBy).Body(text))
}

// metadataOnly asks for an object without spec and status, which saves encoding
// them there and reading them here.
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

// changes are the labels and annotations of ours that an object was created with and
// does not have.
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
		return fmt.Errorf("encoding a deletion: %w", err)
	}
	return k.do(ctx, k.request(k.client.Delete(), namespace).Name(name).Body(text), discard)
}

// discard reads an answer that says nothing, so that the connection is used again.
func discard(answer io.Reader) error {
	_, err := io.Copy(io.Discard, io.LimitReader(answer, maxAnswer))
	return err
}

// The codes of a [RejectedError] for a namespace that does not exist, or that is being
// deleted.
const (
	NamespaceNotFound    = "ERR_K8S_NAMESPACE_NOT_FOUND"
	NamespaceTerminating = "ERR_K8S_NAMESPACE_TERMINATING"
)

// QuotaError means that the API server does not make an object because its namespace has
// as many as a ResourceQuota allows.
type QuotaError struct {
	// Quota is the ResourceQuota's name.
	Quota string
	Err   error
}

func (e *QuotaError) Error() string { return e.Err.Error() }

func (e *QuotaError) Unwrap() error { return e.Err }

// RejectedError means that the API server will never accept the write, however
// often it is tried.
type RejectedError struct {
	// Code is the audit contract's error code.
	Code string
	Err  error
}

func (e *RejectedError) Error() string { return e.Err.Error() }

func (e *RejectedError) Unwrap() error { return e.Err }

// OfNamespace tells whether the API server accepts no object at all in the namespace.
func (e *RejectedError) OfNamespace() bool {
	return e.Code == NamespaceNotFound || e.Code == NamespaceTerminating
}

// rejected is the error of a create that no retry can heal, because of what is in
// the object; nil for any other. What an operator can put right while the event is
// redelivered, like missing permissions, a missing CRD or an admission policy, is
// not among them.
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
