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

// NewRecorder makes a Recorder of a client configuration, which it copies with the first
// Event: until then it costs nothing. instance is the reporter's name among
// others of its kind, at most 128 bytes. counted is told what became of each
// Event; it is called from many goroutines and must not block.
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

// eventsVersion is the API that Events are made with.
var eventsVersion = schema.GroupVersion{Group: "events.k8s.io", Version: "v1"}

// createEvent makes one call, and does not try again: an API server that asks for
// time gets it by Events that are left out.
func createEvent(ctx context.Context, client rest.Interface, e Event, instance string) error {
	body, err := e.body(instance)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	stream, err := client.Post().Namespace(e.On.Namespace).Resource("events").
		SetHeader("Content-Type", runtime.ContentTypeJSON).SetHeader("Accept", metadataOnly).
		Param("fieldManager", controller).MaxRetries(0).Body(body).Stream(ctx)
	if err != nil {
		return fmt.Errorf("creating an Event: %w", err)
	}
	defer stream.Close()
	// It was made, whatever becomes of the answer.
	_, _ = io.CopyN(io.Discard, stream, maxEventAnswer)
	return nil
}

func isMissingNamespace(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}
