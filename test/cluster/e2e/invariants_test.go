package e2e

import (
	"fmt"
	"maps"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/test/client"
)

// settles waits until each of the pods has one active object for the alert
// with the wanted count and all of its audit events, and then asks that this is
// all: no second object, no count and no audit event too many. wanted maps
// pods to the number of distinct events that were accepted for them.
func (w *world) settles(alertname string, wanted map[string]int) {
	w.t.Helper()
	last := "nothing was looked at"
	if !assert.Eventually(w.t, func() bool {
		last = w.differs(alertname, wanted)
		return last == ""
	}, settled, 5*look) {
		require.FailNow(w.t, last)
	}
	// An object too many may come late.
	require.Never(w.t, func() bool {
		last = w.differs(alertname, wanted)
		return last != ""
	}, quiet, 5*look, last)
	objects, events := 0, 0
	for _, n := range wanted {
		objects++
		events += n
	}
	w.t.Logf("%s: %d events on %d objects; lost 0, doubled 0, twins 0", alertname, events, objects)
}

// differs says in what the cluster differs from what is wanted; it is empty
// when it does not.
func (w *world) differs(alertname string, wanted map[string]int) string {
	w.t.Helper()
	active := map[string][]unstructured.Unstructured{}
	for _, o := range w.named(alertname) {
		if !terminal(o) {
			pod := text(o, "spec", "targetResource", "name")
			active[pod] = append(active[pod], o)
		}
	}
	if len(active) != len(wanted) {
		return fmt.Sprintf("%d of %d fingerprints have an object", len(active), len(wanted))
	}
	audit := w.audit()
	for pod, n := range wanted {
		if difference := compare(active[pod], audit, n); difference != "" {
			return pod + " " + difference
		}
	}
	return ""
}

// differsFor is differs for one pod among those of the alert's name.
func (w *world) differsFor(alertname, pod string, events int) string {
	w.t.Helper()
	var active []unstructured.Unstructured
	for _, o := range w.named(alertname) {
		if !terminal(o) && text(o, "spec", "targetResource", "name") == pod {
			active = append(active, o)
		}
	}
	return compare(active, w.audit(), events)
}

// compare says in what a fingerprint's active objects and their audit events
// differ from those of a number of distinct events.
func compare(active []unstructured.Unstructured, audit map[string][]client.AuditEvent, events int) string {
	if len(active) != 1 {
		return fmt.Sprintf("has %d active objects", len(active))
	}
	o := active[0]
	if count(o) != events || len(record(o)) != events {
		return fmt.Sprintf("counts %d with %d on record, of %d events, on %s", count(o), len(record(o)), events, o.GetName())
	}
	types, ids := map[string]int{}, map[string]bool{}
	for _, e := range audit[o.GetName()] {
		types[e.EventType]++
		ids[e.AuditID] = true
	}
	want := map[string]int{"gateway.signal.received": 1, "gateway.crd.created": 1}
	if events > 1 {
		want["gateway.signal.deduplicated"] = events - 1
	}
	if len(ids) != events+1 || !maps.Equal(types, want) {
		return fmt.Sprintf("has the audit events %v (%d ids), not %v, on %s", types, len(ids), want, o.GetName())
	}
	return ""
}

// record are the keys of the events that an object counts.
func record(o unstructured.Unstructured) map[string]bool {
	keys := map[string]bool{}
	for key := range client.RecordOf(&o).Counts {
		keys[key] = true
	}
	return keys
}
