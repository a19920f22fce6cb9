package dedup

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/mapping"
)

// newRequest is a RemediationRequest as it is created. Its status is for the
// CRD's defaults and for later.
func newRequest(name string, s mapping.Signal, signalType, key string, now time.Time) *unstructured.Unstructured {
	target := map[string]any{"kind": s.Target.Kind, "name": s.Target.Name}
	for field, value := range map[string]string{"namespace": s.Target.Namespace, "apiVersion": s.Target.APIVersion} {
		if value != "" {
			target[field] = value
		}
	}
	spec := map[string]any{
		"signalFingerprint": s.Fingerprint,
		"signalName":        s.Name,
		"severity":          string(s.Severity),
		"signalType":        signalType,
		"signalSource":      "prometheus",
		"targetType":        "kubernetes",
		"targetResource":    target,
		"firingTime":        stamp(s.FiringAt),
		"receivedTime":      stamp(now),
		"signalLabels":      texts(s.Labels),
		"signalAnnotations": texts(s.Annotations),
		"originalPayload":   string(s.Payload),
	}
	if s.Cluster != "" {
		spec["clusterID"] = s.Cluster
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetAPIVersion(Resource.GroupVersion().String())
	u.SetKind("RemediationRequest")
	u.SetName(name)
	u.SetNamespace(s.Namespace)
	u.SetLabels(map[string]string{managedByLabel: managedBy, componentLabel: "remediation"})
	u.SetAnnotations(map[string]string{eventAnnotation: key})
	return u
}

func texts(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
