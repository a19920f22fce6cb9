package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// settlesFor is settles for one pod among those of the alert's name.
func (w *world) settlesFor(alertname, pod string, events int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.differsFor(alertname, pod, events) == "" }, settled, look)
	require.Never(w.t, func() bool { return w.differsFor(alertname, pod, events) != "" }, quiet, 5*look)
}

// setEnv gives the function a variable, by a new revision, and takes it away
// again when the test ends.
func (w *world) setEnv(name, value string) {
	w.t.Helper()
	before := w.kubectl("-n", namespace, "get", "ksvc", "onefire", "-o", "jsonpath={.spec.template.spec.containers[0].env}")
	var env []map[string]any
	require.NoError(w.t, json.Unmarshal([]byte(before), &env))
	changed := slices.DeleteFunc(slices.Clone(env), func(v map[string]any) bool { return v["name"] == name })
	w.patchEnv(append(changed, map[string]any{"name": name, "value": value}))
	w.t.Cleanup(func() { w.patchEnv(env) })
}

func (w *world) patchEnv(env []map[string]any) {
	w.t.Helper()
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/template/spec/containers/0/env", "value": env}})
	require.NoError(w.t, err)
	w.kubectl("-n", namespace, "patch", "ksvc", "onefire", "--type=json", "-p", string(patch))
	generation := w.kubectl("-n", namespace, "get", "ksvc", "onefire", "-o", "jsonpath={.metadata.generation}")
	require.Eventually(w.t, func() bool {
		now := w.kubectl("-n", namespace, "get", "ksvc", "onefire", "-o", `jsonpath={.status.observedGeneration} {.status.conditions[?(@.type=="Ready")].status}`)
		return now == generation+" True"
	}, 2*time.Minute, 5*look, "the new revision does not get ready")
}

// setDelivery changes fields of the Trigger's delivery, and takes that back when the
// test ends. The dispatcher follows a moment later.
func (w *world) setDelivery(fields map[string]any) {
	w.t.Helper()
	var before map[string]any
	require.NoError(w.t, json.Unmarshal([]byte(w.kubectl("-n", namespace, "get", "trigger", "onefire", "-o", "jsonpath={.spec.delivery}")), &before))
	back := map[string]any{}
	for name := range fields {
		back[name] = before[name]
	}
	w.patchDelivery(fields)
	w.t.Cleanup(func() { w.patchDelivery(back) })
}

func (w *world) patchDelivery(fields map[string]any) {
	w.t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"delivery": fields}})
	require.NoError(w.t, err)
	w.kubectl("-n", namespace, "patch", "trigger", "onefire", "--type=merge", "-p", string(patch))
	require.Eventually(w.t, func() bool {
		channels := w.kubectl("-n", namespace, "get", "inmemorychannel", "-o", "jsonpath={.items[*].spec.subscribers[*].delivery}")
		for name, value := range fields {
			if !strings.Contains(channels, fmt.Sprintf(`%q:%q`, name, value)) && !strings.Contains(channels, fmt.Sprintf(`%q:%v`, name, value)) {
				return false
			}
		}
		return true
	}, time.Minute, look, "the channel does not take the Trigger's delivery")
}
