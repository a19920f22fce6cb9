package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// ready waits until all of Onefire is as its manifests say.
func (w *world) ready() {
	w.t.Helper()
	for _, kind := range []string{"ksvc/onefire", "broker/onefire", "trigger/onefire", "sinkbinding/onefire-source"} {
		require.Eventually(w.t, func() bool {
			out, err := exec.CommandContext(context.Background(), w.p.Bin("kubectl"), "-n", namespace, "get", kind, "-o",
				`jsonpath={.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type=="Ready")].status}`).Output()
			fields := strings.Fields(string(out))
			return err == nil && len(fields) == 3 && fields[0] == fields[1] && fields[2] == "True"
		}, settled, 5*look, kind)
	}
	for _, deployment := range []string{"onefire-source", "onefire-deadletters"} {
		w.kubectl("-n", namespace, "rollout", "status", "deployment", deployment, "--timeout="+settled.String())
	}
}

// choose applies knative/ with one more of its components until the test ends,
// and deletes then what only the component has: kubectl apply leaves that.
func (w *world) choose(component string, own ...string) {
	w.t.Helper()
	plain, with := w.p.In("knative"), w.p.In("knative-"+component)
	require.NoError(w.t, os.RemoveAll(with))
	require.NoError(w.t, os.CopyFS(with, os.DirFS(plain)))
	path, line := filepath.Join(with, "kustomization.yaml"), "- components/"+component+"\n"
	text, err := os.ReadFile(path)
	require.NoError(w.t, err)
	require.Contains(w.t, string(text), "  # "+line)
	require.NoError(w.t, os.WriteFile(path, []byte(strings.Replace(string(text), "  # "+line, "  "+line, 1)), 0o644))
	w.t.Cleanup(func() {
		w.kubectl("apply", "-k", plain)
		w.ready()
		w.kubectl(append([]string{"-n", namespace, "delete", "--ignore-not-found"}, own...)...)
	})
	w.kubectl("apply", "-k", with)
	w.ready()
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
	w.t.Cleanup(func() { w.patchDelivery(back) })
	w.patchDelivery(fields)
}

func (w *world) patchDelivery(fields map[string]any) {
	w.t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"delivery": fields}})
	require.NoError(w.t, err)
	w.kubectl("-n", namespace, "patch", "trigger", "onefire", "--type=merge", "-p", string(patch))
	// Knative makes the Subscription anew, sometimes twice. Until the dispatcher has the last
	// one, the Broker takes events that nobody gets. So nothing may change for a while.
	versions, since := "", time.Now()
	require.Eventually(w.t, func() bool {
		w.removeStaleSubscribers()
		now := w.kubectl("-n", namespace, "get", "trigger,subscription,inmemorychannel", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
		if now != versions {
			versions, since = now, time.Now()
		}
		subscriber := w.kubectl("-n", namespace, "get", "inmemorychannel", "-o", "jsonpath={.items[*].spec.subscribers[*].delivery}")
		for name, value := range fields {
			if !strings.Contains(subscriber, fmt.Sprintf(`%q:%q`, name, value)) && !strings.Contains(subscriber, fmt.Sprintf(`%q:%v`, name, value)) {
				return false
			}
		}
		uids := w.kubectl("-n", namespace, "get", "inmemorychannel", "-o", "jsonpath={.items[*].spec.subscribers[*].uid} {.items[*].status.subscribers[*].uid}")
		known := strings.Fields(uids)
		return len(known) == 2 && known[0] == known[1] && time.Since(since) >= quiet
	}, settled, look, "the channel does not take the Trigger's delivery")
}

// removeStaleSubscribers removes the channel's subscribers that have no Subscription. Where
// the channel's webhook is away while Knative deletes a Subscription, such as while its pod
// starts anew on a busy machine, Knative logs the error and goes on. The channel then delivers
// each event to the old subscriber too, for good.
func (w *world) removeStaleSubscribers() {
	w.t.Helper()
	var subscriptions, channels struct {
		Items []struct {
			Metadata struct{ Name, UID string }
			Spec     struct{ Subscribers []map[string]any }
		}
	}
	require.NoError(w.t, json.Unmarshal([]byte(w.kubectl("-n", namespace, "get", "subscription", "-o", "json")), &subscriptions))
	require.NoError(w.t, json.Unmarshal([]byte(w.kubectl("-n", namespace, "get", "inmemorychannel", "-o", "json")), &channels))
	known := map[any]bool{}
	for _, s := range subscriptions.Items {
		known[s.Metadata.UID] = true
	}
	for _, c := range channels.Items {
		left := slices.DeleteFunc(slices.Clone(c.Spec.Subscribers), func(s map[string]any) bool { return !known[s["uid"]] })
		if len(left) == len(c.Spec.Subscribers) || len(left) == 0 {
			continue // A Subscription that is not in the channel yet comes without help.
		}
		w.t.Logf("the channel %s has subscribers without a Subscription", c.Metadata.Name)
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"subscribers": left}})
		require.NoError(w.t, err)
		w.kubectl("-n", namespace, "patch", "inmemorychannel", c.Metadata.Name, "--type=merge", "-p", string(patch))
	}
}
