package telemetry

import (
	"maps"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk"
	"go.opentelemetry.io/otel/sdk/resource"
)

// identity describes the process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override
// the values that are known here. Each process has an instance id of its own.
func identity(o Options) *resource.Resource {
	all := map[string]string{
		"service.name":           o.Service,
		"service.version":        o.Version,
		"service.instance.id":    uuid.NewString(),
		"k8s.namespace.name":     o.Namespace,
		"k8s.pod.name":           o.OTel.PodName,
		"telemetry.sdk.language": "go",
		"telemetry.sdk.name":     "opentelemetry",
		"telemetry.sdk.version":  sdk.Version(),
	}
	maps.Copy(all, o.OTel.Resource)
	if o.OTel.ServiceName != "" {
		all["service.name"] = o.OTel.ServiceName
	}
	var attributes []attribute.KeyValue
	for name, value := range all {
		if value != "" {
			attributes = append(attributes, attribute.String(name, value))
		}
	}
	return resource.NewSchemaless(attributes...)
}
