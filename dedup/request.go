package dedup

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// newRequest returns the RemediationRequest to create after a predecessor; follows is
// that one's UID, or empty. A create ignores status, so the CRD's defaults fill it.
func newRequest(name string, follows types.UID, s mapping.Signal, signalType, key string, now time.Time) map[string]any {
	target := map[string]string{"kind": s.Target.Kind, "name": s.Target.Name}
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
		"firingTime":        formatTime(s.FiringAt),
		"receivedTime":      formatTime(now),
		"signalLabels":      s.Labels,
		"signalAnnotations": s.Annotations,
		"originalPayload":   string(s.Payload),
	}
	annotations := map[string]string{eventAnnotation: key}
	if follows != "" {
		annotations[followsAnnotation] = string(follows)
	}
	if !s.SaidAt.IsZero() {
		annotations[timeAnnotation] = s.SaidAt.UTC().Format(time.RFC3339Nano)
	}
	if s.Cluster != "" {
		spec["clusterID"] = s.Cluster
	}
	return map[string]any{
		"apiVersion": Resource.GroupVersion().String(),
		"kind":       "RemediationRequest",
		"metadata": map[string]any{
			"name": name, "namespace": s.Namespace,
			"labels":      map[string]string{managedByLabel: managedBy, componentLabel: "remediation", fingerprintLabel: label(s.Fingerprint)},
			"annotations": annotations,
		},
		"spec": spec,
	}
}
