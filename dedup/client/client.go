// Package client makes plain clients of the Kubernetes API: JSON, no discovery,
// no types. What is asked for, how often and for how long is for who asks.
package client

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// New makes a client for the resources of a group's version, under the name by
// which the API server knows who calls. It has no limits of its own: each call
// needs a context with a deadline, and callers bound how many are under way. It
// opens no connection, and shares those of other clients of the same
// configuration, which is copied.
func New(config *rest.Config, name string, version schema.GroupVersion) (rest.Interface, error) {
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"})
	own := rest.CopyConfig(config)
	own.QPS = -1
	own.Timeout = 0
	// A CRD that prunes our record would bring a line of text with each patch.
	own.WarningHandler = rest.NoWarnings{}
	own.UserAgent = name
	own.APIPath = "/apis"
	if version.Group == "" {
		own.APIPath = "/api"
	}
	own.GroupVersion = &version
	own.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	own.AcceptContentTypes, own.ContentType = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(own)
	if err != nil {
		return nil, fmt.Errorf("making a Kubernetes client: %w", err)
	}
	return client, nil
}
