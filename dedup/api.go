package dedup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// Resource is the RemediationRequest's API.
var Resource = schema.GroupVersionResource{Group: "kubernaut.ai", Version: "v1alpha1", Resource: "remediationrequests"}

// API is the Kubernetes API as far as the protocol uses it. Errors are those of
// apimachinery's api/errors. [Connect] gives the real one.
type API interface {
	// List returns all objects of a fingerprint, linearizable: what was
	// written before the call is in it. now is the API server's clock.
	List(ctx context.Context, namespace, fingerprint string) (items []unstructured.Unstructured, now time.Time, err error)
	Get(ctx context.Context, namespace, name string) (*unstructured.Unstructured, error)
	Create(ctx context.Context, namespace string, o *unstructured.Unstructured) (*unstructured.Unstructured, error)
	// PatchStatus applies a JSON merge patch to the status subresource.
	PatchStatus(ctx context.Context, namespace, name string, patch map[string]any) error
	// Delete deletes that very revision of an object, or fails with a conflict.
	Delete(ctx context.Context, namespace, name string, uid types.UID, resourceVersion string) error
}

type kube struct {
	client dynamic.NamespaceableResourceInterface
	calls  chan struct{}
}

// Connect makes an [API] of a client configuration. It opens no connection. The
// configuration is copied: its rate limits are replaced by a bound on calls
// under way, which lets the API server's priority and fairness do its work.
func Connect(config *rest.Config) (API, error) {
	own := rest.CopyConfig(config)
	own.QPS = -1
	own.Timeout = callTimeout
	own.UserAgent = "onefire"
	own.Wrap(func(rt http.RoundTripper) http.RoundTripper { return dated{rt} })
	client, err := dynamic.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("making a Kubernetes client: %w", err)
	}
	return &kube{client: client.Resource(Resource), calls: make(chan struct{}, maxCalls)}, nil
}

// enter waits for a place among the calls under way.
func (k *kube) enter(ctx context.Context) (leave func(), err error) {
	select {
	case k.calls <- struct{}{}:
		return func() { <-k.calls }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a free API call: %w", ctx.Err())
	}
}

// dated notes when the API server answered, for calls whose context asks for it.
type dated struct{ http.RoundTripper }

type dateKey struct{}

func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.RoundTripper.RoundTrip(r)
	if now, ok := r.Context().Value(dateKey{}).(*time.Time); ok && err == nil {
		if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			*now = t
		}
	}
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport that can cancel calls.
func (d dated) WrappedRoundTripper() http.RoundTripper { return d.RoundTripper }

func (k *kube) List(ctx context.Context, namespace, fingerprint string) ([]unstructured.Unstructured, time.Time, error) {
	leave, err := k.enter(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer leave()
	// Our own clock, should a proxy on the way take the Date header off.
	now := time.Now()
	ctx = context.WithValue(ctx, dateKey{}, &now)
	// An empty resourceVersion asks for the most recent state. A field
	// selector, because labels can be changed and hold only 63 characters.
	list, err := k.client.Namespace(namespace).List(ctx, metav1.ListOptions{FieldSelector: "spec.signalFingerprint=" + fingerprint})
	if err != nil {
		return nil, now, err
	}
	return list.Items, now, nil
}

func (k *kube) Get(ctx context.Context, namespace, name string) (*unstructured.Unstructured, error) {
	leave, err := k.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return k.client.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (k *kube) Create(ctx context.Context, namespace string, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	leave, err := k.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return k.client.Namespace(namespace).Create(ctx, o, metav1.CreateOptions{FieldManager: managedBy})
}

func (k *kube) PatchStatus(ctx context.Context, namespace, name string, patch map[string]any) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encoding a status patch: %w", err)
	}
	leave, err := k.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	_, err = k.client.Namespace(namespace).Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: managedBy}, "status")
	return err
}

func (k *kube) Delete(ctx context.Context, namespace, name string, uid types.UID, resourceVersion string) error {
	leave, err := k.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return k.client.Namespace(namespace).Delete(ctx, name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &resourceVersion},
	})
}

// NamespaceNotFound is the code of a [RejectedError] for a namespace that does
// not exist.
const NamespaceNotFound = "ERR_K8S_NAMESPACE_NOT_FOUND"

// RejectedError means that the API server will never accept the write, however
// often it is tried.
type RejectedError struct {
	// Code is the audit contract's error code.
	Code string
	Err  error
}

func (e *RejectedError) Error() string { return e.Err.Error() }

func (e *RejectedError) Unwrap() error { return e.Err }

// rejected wraps the error of a create that no retry can heal, because of what
// is in the object. What an operator can put right while the event is
// redelivered, like missing permissions, a missing CRD or an admission policy,
// is not among them.
func rejected(err error) error {
	var code string
	switch {
	case apierrors.IsInvalid(err):
		code = "ERR_K8S_INVALID"
	case apierrors.IsRequestEntityTooLargeError(err):
		code = "ERR_K8S_TOO_LARGE"
	case apierrors.IsNotFound(err) && missingNamespace(err):
		code = NamespaceNotFound
	default:
		return err
	}
	return &RejectedError{Code: code, Err: err}
}

func missingNamespace(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}
