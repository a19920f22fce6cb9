// Package client makes simple clients of the Kubernetes API: JSON, no discovery, no
// types. Callers decide which calls they make, how many and with which timeout.
package client

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// New makes a client for the resources of an API group and version. name is the client's
// user agent. The client has no limits of its own: each call needs a context with a
// deadline, and callers limit how many calls run at once. New copies the configuration
// and opens no connection. Clients of the same configuration share their connections.
func New(config *rest.Config, name string, version schema.GroupVersion) (rest.Interface, error) {
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"})
	own := rest.CopyConfig(config)
	own.QPS = -1
	own.Timeout = 0
	// A CRD that prunes the record would otherwise log a line with each patch.
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
