package kubeapi

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// eventsCRD stands in for the Events that a whole kube-apiserver has built in:
// what it demands of them, what they can be selected by, and how kubectl prints
// them. They do not expire; those of an earlier run are deleted at the start.
const eventsCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: events.events.k8s.io
  annotations:
    api-approved.kubernetes.io: unapproved, it stands in for the API of that name
spec:
  group: events.k8s.io
  scope: Namespaced
  names: {kind: Event, listKind: EventList, plural: events, singular: event, shortNames: [ev]}
  versions:
    - name: v1
      served: true
      storage: true
      selectableFields:
        - jsonPath: .reason
        - jsonPath: .type
        - jsonPath: .regarding.kind
        - jsonPath: .regarding.namespace
        - jsonPath: .regarding.name
        - jsonPath: .regarding.uid
      additionalPrinterColumns:
        - {name: Last Seen, type: date, jsonPath: .eventTime}
        - {name: Type, type: string, jsonPath: .type}
        - {name: Reason, type: string, jsonPath: .reason}
        - {name: Kind, type: string, jsonPath: .regarding.kind}
        - {name: Object, type: string, jsonPath: .regarding.name}
        - {name: Message, type: string, jsonPath: .note}
      schema:
        openAPIV3Schema:
          type: object
          required: [eventTime, reportingController, reportingInstance, action, reason, type]
          properties:
            eventTime: {type: string, format: date-time}
            reportingController: {type: string, minLength: 1}
            reportingInstance: {type: string, minLength: 1, maxLength: 128}
            action: {type: string, minLength: 1, maxLength: 128}
            reason: {type: string, minLength: 1, maxLength: 128}
            type: {type: string, enum: [Normal, Warning]}
            note: {type: string, maxLength: 1024}
            regarding:
              type: object
              properties:
                apiVersion: {type: string}
                kind: {type: string}
                namespace: {type: string}
                name: {type: string}
                uid: {type: string}
`

var eventsResource = schema.GroupVersionResource{Group: "events.k8s.io", Version: "v1", Resource: "events"}

// serveEvents installs the stand-in and tells whether it is served.
func serveEvents(ctx context.Context, client dynamic.Interface) error {
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(eventsCRD), &crd.Object); err != nil {
		return fmt.Errorf("reading the CRD of Events: %w", err)
	}
	if err := apply(ctx, client, crd); err != nil {
		return err
	}
	old, err := client.Resource(eventsResource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing Events: %w", err)
	}
	namespaces := map[string]bool{}
	for _, e := range old.Items {
		namespaces[e.GetNamespace()] = true
	}
	for namespace := range namespaces {
		if err := client.Resource(eventsResource).Namespace(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			return fmt.Errorf("deleting old Events: %w", err)
		}
	}
	return nil
}
