package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/audit"
	"onefire/dedup"
	"onefire/mapping"
	"onefire/test/client"
)

// ledger knows what was sent, and holds it against what is there in the end.
type ledger struct {
	mu sync.Mutex
	// sent are the firing alerts by key.
	sent map[string]*entry
	// invalid are the ids of the audit events of alerts that can be no object.
	invalid map[string]bool
	// removed are the objects that somebody deleted, as they were at the end.
	removed []removal
	// twins are the objects that functions deleted when another one had taken over their
	// records, as they were at the end, where a test knows them.
	twins []unstructured.Unstructured
	// doubles is how many audit events of those that are stored may be stored twice; nil
	// for none.
	doubles func(stored int) int
}

// entry is one alert of one event.
type entry struct {
	event string
	// alert is its identity, name and severity.
	alert string
	// answered is when the last delivery of its event came to its end.
	answered time.Time
}

type removal struct {
	object unstructured.Unstructured
	at     time.Time
}

func newLedger() *ledger { return &ledger{sent: map[string]*entry{}, invalid: map[string]bool{}} }

// enter notes the alerts of an event before it is sent, and returns the keys and
// the fingerprints of those that fire.
func (l *ledger) enter(t testing.TB, id, body string) (keys, fingerprints []string) {
	t.Helper()
	n, err := mapping.Parse([]byte(body), time.Now())
	require.NoError(t, err)
	rules := mapping.Rules{Fingerprint: mapping.ByAlert}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range n.Alerts {
		key := dedup.Key(client.Source, id, a.Identity(), a.Start)
		s, err := rules.Signal(a, time.Now())
		switch {
		case err != nil:
			l.invalid[audit.EventID(client.Source, id, key, mapping.RequestFailed)] = true
			continue
		case a.Resolved:
			continue
		case l.sent[key] == nil:
			l.sent[key] = &entry{event: id, alert: fmt.Sprint(s.AlertID, " ", s.Name, " ", s.Severity)}
		}
		keys, fingerprints = append(keys, key), append(fingerprints, s.Fingerprint)
	}
	return keys, fingerprints
}

// answer notes that a delivery of these alerts' event came to its end.
func (l *ledger) answer(keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		l.sent[key].answered = time.Now()
	}
}

// remove notes that somebody deleted an object, at that time or a little later.
func (l *ledger) remove(o *unstructured.Unstructured, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed = append(l.removed, removal{*o, at})
}

// holding is a place where a key is on record.
type holding struct {
	object types.UID
	made   int32
	// gone is when the object was deleted; zero if it is there.
	gone time.Time
	// before are the counts that it made on twins, which are no places of their own.
	before []int32
}

// balance is what came of all that was sent.
type balance struct {
	alerts, objects, removed int
	// again are alerts that count on two objects, because somebody deleted the
	// first before their event was answered.
	again int
	// setAside are audit events that are in the log.
	setAside, audited int
	// told are alerts whose only audit is that of a twin: they were answered before another
	// object took over its record.
	told int
}

// close holds what was sent against what is there: no fingerprint has two active
// objects; every alert is on record once, where it counts once; every decision
// is in DataStorage, or set aside in a log, once. All events were accepted, and
// nothing is under way.
func (l *ledger) close(w *world, logs ...string) balance {
	w.t.Helper()
	objects := w.list()
	b := balance{alerts: len(l.sent), objects: len(objects), removed: len(l.removed)}
	active := map[string][]string{}
	holdings := map[string][]holding{}
	for i := range objects {
		o := &objects[i]
		if o.GetLabels()["app.kubernetes.io/managed-by"] != "onefire" {
			require.Empty(w.t, client.RecordOf(o).Counts, "an alert was counted on %s, which is not ours", o.GetName())
			continue
		}
		if !terminal(o) {
			fingerprint := field(o, "spec", "signalFingerprint")
			active[fingerprint] = append(active[fingerprint], o.GetName())
		}
		hold(w.t, holdings, o, time.Time{})
	}
	for fingerprint, names := range active {
		require.Len(w.t, names, 1, "fingerprint %s has two active objects", fingerprint)
	}
	for _, r := range l.removed {
		hold(w.t, holdings, &r.object, r.at)
	}
	for _, r := range l.removed {
		objects = append(objects, r.object)
	}
	merged(objects, holdings)
	for i := range l.twins {
		for key, made := range client.RecordOf(&l.twins[i]).Counts {
			for j := range holdings[key] {
				holdings[key][j].before = append(holdings[key][j].before, made)
			}
		}
	}
	for key := range holdings {
		require.NotNil(w.t, l.sent[key], "a key that nobody sent: %s", key)
	}
	for i := range objects {
		l.requireNamed(w.t, &objects[i])
	}
	b.audited, b.setAside, b.told = l.closeAudit(w, holdings, logs)
	for key, e := range l.sent {
		all := holdings[key]
		require.NotEmpty(w.t, all, "an alert of event %s is on no object: it is lost", e.event)
		slices.SortFunc(all, func(a, b holding) int { return a.gone.Compare(b.gone) })
		if len(all) == 1 {
			continue
		}
		b.again++
		there := 0
		for _, h := range all {
			if h.gone.IsZero() || h.gone.After(e.answered) {
				there++
			}
		}
		require.LessOrEqual(w.t, there, 1, "an alert of event %s, last answered at %s, counts more than once: %+v", e.event, e.answered, all)
	}
	return b
}

// merged takes back what twins hold, where the object that took over their records
// holds it too. A twin that a controller ended between its merge and its deletion stays
// with its record: see docs/reference.md.
func merged(objects []unstructured.Unstructured, holdings map[string][]holding) {
	// survivors are those that took over a record, by the UID of whose it was.
	survivors := map[types.UID][]types.UID{}
	for i := range objects {
		for twin, n := range client.RecordOf(&objects[i]).Absorbed {
			if n > 0 {
				survivors[types.UID(twin)] = append(survivors[types.UID(twin)], objects[i].GetUID())
			}
		}
	}
	for i := range objects {
		twin := objects[i].GetUID()
		if len(survivors[twin]) == 0 {
			continue
		}
		for key := range client.RecordOf(&objects[i]).Counts {
			if slices.ContainsFunc(holdings[key], func(h holding) bool { return slices.Contains(survivors[twin], h.object) }) {
				holdings[key] = slices.DeleteFunc(holdings[key], func(h holding) bool { return h.object == twin })
			}
		}
	}
}

// hold adds an object's record, which must be what it counts.
func hold(t testing.TB, holdings map[string][]holding, o *unstructured.Unstructured, gone time.Time) {
	t.Helper()
	record := client.RecordOf(o).Counts
	require.LessOrEqual(t, len(record), dedup.MinKeys, "the test sends too many alerts: more than an object has on record")
	require.Len(t, record, int(count(o)), "object %s counts what it has no record of", o.GetName())
	made := map[int32]bool{}
	for key, n := range record {
		holdings[key] = append(holdings[key], holding{object: o.GetUID(), made: n, gone: gone})
		made[n] = true
	}
	require.True(t, made[1], "object %s does not know who made it", o.GetName())
}

// decided are the ids of the audit events of a decision.
func (e *entry) decided(key string, made int32) []string {
	if made == 1 {
		return []string{
			audit.EventID(client.Source, e.event, key, mapping.SignalReceived),
			audit.EventID(client.Source, e.event, key, mapping.RequestCreated),
		}
	}
	return []string{audit.EventID(client.Source, e.event, key, mapping.SignalDeduplicated)}
}

// closeAudit asks that each alert's decision is in DataStorage or set aside, and
// that nothing else is.
func (l *ledger) closeAudit(w *world, holdings map[string][]holding, logs []string) (audited, setAside, told int) {
	w.t.Helper()
	// An occurrence that counted twice, because its first object was deleted, was
	// decided twice.
	decidedTwice := map[string]bool{}
	for key, all := range holdings {
		if len(all) == 1 {
			continue
		}
		for _, h := range all {
			for _, id := range l.sent[key].decided(key, h.made) {
				decidedTwice[id] = true
			}
		}
	}
	stored := map[string]bool{}
	at := map[string]time.Time{}
	var twice, again []string
	for _, e := range w.audit("") {
		switch {
		case !stored[e.AuditID]:
		case decidedTwice[e.AuditID] && !e.Timestamp.Equal(at[e.AuditID]):
			again = append(again, e.AuditID)
		default:
			twice = append(twice, e.AuditID)
		}
		stored[e.AuditID], at[e.AuditID] = true, e.Timestamp
	}
	most := 0
	if l.doubles != nil {
		most = l.doubles(len(stored))
	}
	require.LessOrEqual(w.t, len(twice), most, "audit events are there twice: %v", twice)
	w.t.Logf("%d audit events are there twice; %d are of an alert that was counted again", len(twice), len(again))
	aside := map[string]bool{}
	for _, log := range logs {
		for _, e := range asideIn(w.t, log) {
			aside[e.ID()] = true
		}
	}
	may := maps.Clone(l.invalid)
	for id := range l.invalid {
		require.True(w.t, stored[id] || aside[id], "that an alert is invalid is in no audit")
	}
	for key, e := range l.sent {
		audited := func(made int32) bool {
			all := true
			for _, id := range e.decided(key, made) {
				may[id] = true
				all = all && (stored[id] || aside[id])
			}
			return all
		}
		decided, before := false, false
		for _, h := range holdings[key] {
			decided = audited(h.made) || decided
			for _, made := range h.before {
				before = audited(made) || before
			}
		}
		require.True(w.t, decided || before, "the decision on an alert of event %s is in no audit: %+v", e.event, holdings[key])
		if !decided {
			told++
		}
	}
	for _, ids := range []map[string]bool{stored, aside} {
		for id := range ids {
			require.True(w.t, may[id], "audit event %s is of no decision", id)
		}
	}
	return len(stored), len(aside), told
}

// asideIn are the audit events that a function set aside in its log.
func asideIn(t testing.TB, log string) []event.Event {
	t.Helper()
	var all []event.Event
	lines := bufio.NewScanner(strings.NewReader(log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Message    string      `json:"msg"`
			CloudEvent event.Event `json:"cloudevent"`
		}
		if !strings.Contains(lines.Text(), "audit event rejected by the audit sink") {
			continue
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), "%s", lines.Text())
		all = append(all, line.CloudEvent)
	}
	require.NoError(t, lines.Err())
	return all
}

func (b balance) String() string {
	return fmt.Sprintf("%d alerts on %d objects and %d deleted ones, %d of them counted again after a deletion; %d audit events stored, %d set aside; %d were told of a twin; lost 0, doubled 0, twins 0",
		b.alerts, b.objects, b.removed, b.again, b.audited, b.setAside, b.told)
}
