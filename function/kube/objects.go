package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"onefire/mapping"
)

// followed are the kinds whose owners are looked for: those that Kubernetes' own
// controllers make and run. The function's permissions are for these.
var followed = [...]struct{ kind, apiVersion, group, path, resource string }{
	{"Pod", "v1", "", "/api/v1", "pods"},
	{"ReplicaSet", "apps/v1", "apps", "/apis/apps/v1", "replicasets"},
	{"Deployment", "apps/v1", "apps", "/apis/apps/v1", "deployments"},
	{"StatefulSet", "apps/v1", "apps", "/apis/apps/v1", "statefulsets"},
	{"DaemonSet", "apps/v1", "apps", "/apis/apps/v1", "daemonsets"},
	{"Job", "batch/v1", "batch", "/apis/batch/v1", "jobs"},
	{"CronJob", "batch/v1", "batch", "/apis/batch/v1", "cronjobs"},
}

// Resources are the resources that a Resolver reads; it needs the verb get.
func Resources() []schema.GroupResource {
	var all []schema.GroupResource
	for _, f := range followed {
		all = append(all, schema.GroupResource{Group: f.group, Resource: f.resource})
	}
	return all
}

// path is the URL path of an object; it is empty for a kind that is not followed.
func path(t mapping.Target) string {
	if t.Kind == hostKind {
		t.Kind = "Pod"
	}
	for _, f := range followed {
		if f.kind == t.Kind && f.apiVersion == t.APIVersion {
			return f.path + "/namespaces/" + t.Namespace + "/" + f.resource + "/" + t.Name
		}
	}
	return ""
}

// apiVersion is the API version of a followed kind.
func apiVersion(kind string) string {
	for _, f := range followed {
		if f.kind == kind {
			return f.apiVersion
		}
	}
	return ""
}

// known replaces the API version of a reference to a followed kind by the one that is
// read, because a reference can have an older version.
func known(t mapping.Target) mapping.Target {
	for _, f := range followed {
		if group, _ := schema.ParseGroupVersion(t.APIVersion); f.kind == t.Kind && f.group == group.Group {
			t.APIVersion = f.apiVersion
		}
	}
	return t
}

// metadataOnly asks for an object without spec and status. The API server encodes less,
// and we read less.
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

// get reads an object: whether it fits the scope, and its controller or, for a host, its
// node. The controller is zero if the object has none. The error is that of the API
// server, if it answered.
func (r *Resolver) get(ctx context.Context, t mapping.Target) (answer, error) {
	accept := metadataOnly
	if t.Kind == hostKind {
		accept = "application/json" // The node is not in a pod's metadata.
	}
	stream, err := r.client.Get().AbsPath(scopePath(t)).SetHeader("Accept", accept).Timeout(getTimeout).Stream(ctx)
	if err != nil {
		return answer{}, err
	}
	defer stream.Close()
	body, err := io.ReadAll(io.LimitReader(stream, maxObject+1))
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxObject {
		return answer{}, errTooLarge
	}
	var object struct {
		Metadata struct {
			Name            string            `json:"name"`
			Labels          map[string]string `json:"labels"`
			OwnerReferences []struct {
				APIVersion string `json:"apiVersion"`
				Kind       string `json:"kind"`
				Name       string `json:"name"`
				Controller bool   `json:"controller"`
			} `json:"ownerReferences"`
		} `json:"metadata"`
		Spec struct {
			NodeName string `json:"nodeName"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(body, &object); err != nil || object.Metadata.Name != t.Name {
		return answer{}, fmt.Errorf("the answer is not that object's metadata: %w", errors.Join(err, errOther))
	}
	a := answer{result: Resolved, fits: r.fits(object.Metadata.Labels)}
	if t.Kind == hostKind {
		if name := object.Spec.NodeName; len(validation.IsDNS1123Subdomain(name)) == 0 {
			a.controller = mapping.Target{APIVersion: "v1", Kind: "Node", Name: name}
		}
		return a, nil
	}
	var controller mapping.Target
	for _, o := range object.Metadata.OwnerReferences {
		// At most one reference is marked as controller. A Node is the controller of a
		// static pod.
		if o.Controller && o.Kind != "Node" {
			controller = known(mapping.Target{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, Namespace: t.Namespace})
		}
	}
	if max(len(controller.APIVersion), len(controller.Kind)) > maxKind || len(validation.IsDNS1123Subdomain(controller.Name)) > 0 {
		return a, nil // A reference can contain any text.
	}
	a.controller = controller
	return a, nil
}

var (
	// errOther means that the answer is about an object with another name, so it does not
	// come from the API server.
	errOther = errors.New("the answer is about another object")
	// errTooLarge means that the metadata of an object is above the bound. It would be
	// the same in a retry.
	errTooLarge = errors.New("the answer is too large")
)

// final returns the result that an error means, if a retry would give the same error. All
// other errors can be temporary.
func final(err error) (OwnerResult, bool) {
	if errors.Is(err, errTooLarge) {
		return Refused, true
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "", false
	}
	switch code := int(status.Status().Code); code {
	case http.StatusNotFound:
		return Gone, true
	case http.StatusForbidden:
		return Forbidden, true
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return "", false // a temporary condition
	default:
		return Refused, code >= http.StatusBadRequest && code < http.StatusInternalServerError
	}
}
