package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"onefire/dedup/client"
)

// NewRecorder makes a Recorder from a client configuration. It copies the configuration
// with the first Kubernetes Event, so an unused Recorder costs nothing. instance is the
// reporter's name, at most 128 bytes. counted is called with the outcome of each
// Kubernetes Event, from several goroutines, and must not block.
func NewRecorder(config *rest.Config, instance string, log *slog.Logger, counted func(EventResult)) *Recorder {
	connected := sync.OnceValues(func() (rest.Interface, error) { return client.New(config, controller, eventsVersion) })
	return newRecorder(func(ctx context.Context, e Event) error {
		client, err := connected()
		if err != nil {
			return err
		}
		return createEvent(ctx, client, e, instance)
	}, log, counted)
}

// eventsVersion is the API version of the Kubernetes Events.
var eventsVersion = schema.GroupVersion{Group: "events.k8s.io", Version: "v1"}

// createEvent makes one call and does not retry. If the API server is busy, Kubernetes
// Events are left out.
func createEvent(ctx context.Context, client rest.Interface, e Event, instance string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	stream, err := client.Post().Namespace(e.On.Namespace).Resource("events").
		SetHeader("Content-Type", runtime.ContentTypeJSON).SetHeader("Accept", metadataOnly).
		Param("fieldManager", controller).MaxRetries(0).Body(e.body(instance)).Stream(ctx)
	if err != nil {
		return fmt.Errorf("creating a Kubernetes Event: %w", err)
	}
	defer stream.Close()
	// The Event was created, so errors in the rest of the answer do not matter.
	_, _ = io.CopyN(io.Discard, stream, maxEventAnswer)
	return nil
}

func isMissingNamespace(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}
