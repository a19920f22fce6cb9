package deadletters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"onefire/dedup/client"
)

// configMap is a ConfigMap of the Kubernetes API. The official type would add its whole
// package to the binary.
type configMap struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Immutable  bool              `json:"immutable,omitempty"`
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
}

// api is access to the ConfigMaps of one namespace. Its errors are those of
// apimachinery's api/errors.
type api struct {
	client    rest.Interface
	namespace string
}

// connect makes an [api] from a client configuration, which it copies. It opens no
// connection.
func connect(config *rest.Config, namespace string) (*api, error) {
	c, err := client.New(config, managedBy, schema.GroupVersion{Version: "v1"})
	return &api{client: c, namespace: namespace}, err
}

// do makes one call and decodes its answer into an object. client-go waits for an
// answer's Retry-After and tries again, within the timeout.
func (a *api) do(ctx context.Context, r *rest.Request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stream, err := r.Namespace(a.namespace).Resource("configmaps").Timeout(callTimeout).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	body, err := io.ReadAll(io.LimitReader(stream, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading the API server's answer: %w", err)
	case len(body) > maxAnswer:
		return fmt.Errorf("the API server's answer is larger than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decoding the API server's answer: %w", err)
	}
	return nil
}

// Answers with metadata only, which keeps a List of large events small.
const (
	metadataOnly     = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
	listMetadataOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
)

func (a *api) create(ctx context.Context, c *configMap) error {
	text, _ := json.Marshal(c) // Each ConfigMap can be marshaled.
	var made metav1.PartialObjectMetadata
	return a.do(ctx, a.client.Post().SetHeader("Accept", metadataOnly).Param("fieldManager", managedBy).Body(text), &made)
}

func (a *api) get(ctx context.Context, name string) (*configMap, error) {
	var c configMap
	return &c, a.do(ctx, a.client.Get().Name(name), &c)
}

// list returns the metadata of all dead letters. The API server's count of the remaining
// objects would be cheaper, but it is missing when there is a selector.
func (a *api) list(ctx context.Context) ([]metav1.PartialObjectMetadata, error) {
	var all []metav1.PartialObjectMetadata
	var next string
	for range maxPages {
		page, err := a.page(ctx, pageSize, next)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if next = page.Continue; next == "" {
			return all, nil
		}
	}
	return nil, errors.New("there are more dead letters than can be read: delete some with kubectl")
}

// page returns the metadata of some dead letters, in the order of their names.
func (a *api) page(ctx context.Context, size int, next string) (page metav1.PartialObjectMetadataList, err error) {
	err = a.do(ctx, a.client.Get().SetHeader("Accept", listMetadataOnly).
		Param("labelSelector", deadLetterLabel+"=true").
		Param("limit", strconv.Itoa(size)).Param("continue", next), &page)
	return page, err
}

// delete deletes that very revision of an object, or fails with a conflict.
func (a *api) delete(ctx context.Context, c *configMap) error {
	text, _ := json.Marshal(metav1.DeleteOptions{ // Such options can be marshaled.
		TypeMeta:      metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions: &metav1.Preconditions{UID: &c.UID, ResourceVersion: &c.ResourceVersion},
	})
	var gone metav1.PartialObjectMetadata
	return a.do(ctx, a.client.Delete().Name(c.Name).Body(text), &gone)
}
