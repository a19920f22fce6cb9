package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"onefire/dedup"
)

// template is an object as the function creates it, which the bare client
// copies: both send the API server the same bytes.
type template struct {
	object      *unstructured.Unstructured
	fingerprint string
}

// takeTemplate makes an object with the function and copies what it wrote.
func (b *bench) takeTemplate(ctx context.Context, functions fleet, namespace string) (template, error) {
	run := b.newRun()
	if err := b.post(ctx, functions, newAlert(run, 0)); err != nil {
		return template{}, err
	}
	return b.takeAway(ctx, namespace, run)
}

// takeAway copies the one object of a run and deletes it.
func (b *bench) takeAway(ctx context.Context, namespace, run string) (template, error) {
	made, err := b.api.rows(ctx, namespace, run)
	if err != nil {
		return template{}, err
	}
	if err := check(made, 1, 0, 1); err != nil {
		return template{}, err
	}
	o, err := b.api.objects.Namespace(namespace).Get(ctx, made[0].name, metav1.GetOptions{})
	if err != nil {
		return template{}, fmt.Errorf("reading the object that the function made: %w", err)
	}
	t := template{object: &unstructured.Unstructured{Object: map[string]any{"spec": o.Object["spec"]}}}
	t.fingerprint, _, _ = unstructured.NestedString(o.Object, "spec", "signalFingerprint")
	t.object.SetAPIVersion(o.GetAPIVersion())
	t.object.SetKind(o.GetKind())
	t.object.SetLabels(o.GetLabels())
	t.object.SetAnnotations(o.GetAnnotations())
	return t, b.api.remove(ctx, namespace, run)
}

// name is the name of a run's object.
func (t template) name(run string, i int) (name, fingerprint string) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%d", run, i))
	fingerprint = hex.EncodeToString(sum[:])
	return "rr-" + fingerprint[:12] + "-" + fingerprint[12:20], fingerprint
}

// relabel replaces the values that are the beginning of a fingerprint with as
// much of another: objects are found by such labels.
func relabel(labels map[string]string, old, fingerprint string) map[string]string {
	out := make(map[string]string, len(labels))
	for name, value := range labels {
		if value != "" && strings.HasPrefix(old, value) {
			value = fingerprint[:len(value)]
		}
		out[name] = value
	}
	return out
}

// create creates the i-th object of a run.
func (t template) create(ctx context.Context, to dynamic.ResourceInterface, run string, i int) error {
	name, fingerprint := t.name(run, i)
	o := t.object.DeepCopy()
	o.SetName(name)
	o.SetLabels(relabel(o.GetLabels(), t.fingerprint, fingerprint))
	for field, value := range map[string]string{"signalFingerprint": fingerprint, "clusterID": run} {
		if err := unstructured.SetNestedField(o.Object, value, "spec", field); err != nil {
			return fmt.Errorf("making an object: %w", err)
		}
	}
	if _, err := to.Create(ctx, o, metav1.CreateOptions{FieldManager: "onefire"}); err != nil {
		return fmt.Errorf("creating an object: %w", err)
	}
	return nil
}

// count patches the i-th object of a run for the n-th time, as the function
// counts a repeat, but without having looked at it.
func (t template) count(ctx context.Context, to dynamic.ResourceInterface, run string, i, n int) error {
	now := time.Now().UTC()
	var lines []string
	for k := max(0, n-maxRecord+1); k <= n; k++ {
		lines = append(lines, fmt.Sprintf("%d@%d %016x", k+2, now.Unix(), k))
	}
	stamp := now.Format(time.RFC3339)
	body, err := json.Marshal(map[string]any{"status": map[string]any{
		"deduplication": map[string]any{"occurrenceCount": n + 2, "lastSeenAt": stamp},
		"conditions": []any{map[string]any{
			"type": "onefire/Record", "status": "True", "reason": "Counted", "message": strings.Join(lines, "\n"), "lastTransitionTime": stamp,
		}},
	}})
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	name, _ := t.name(run, i)
	if _, err := to.Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "onefire"}, "status"); err != nil {
		return fmt.Errorf("patching %s of %s: %w", name, dedup.Resource.Resource, err)
	}
	return nil
}
