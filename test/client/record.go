package client

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Record is what an object's conditions say of what was counted on it, as anybody
// can read it.
type Record struct {
	// Counts are the counts that keys made; 1 is that of the key that made an object.
	Counts map[string]int32
	// At is when they were made.
	At map[string]time.Time
	// Absorbed is what was taken over from twins, by their UIDs.
	Absorbed map[string]int32
	// States are those of alerts, by their identities.
	States map[string]State
	// Alerts are those beside the object's own, and Omitted that there were more.
	Alerts  []Alert
	Omitted bool
}

// Alert is one that was counted on an object that another one made.
type Alert struct {
	ID        string    `json:"id"`
	Alertname string    `json:"alertname"`
	Severity  string    `json:"severity"`
	FirstSeen time.Time `json:"firstSeenAt"`
}

// State is when an event last said that an alert fires, and that it has ended.
type State struct {
	Firing   time.Time `json:"firingSeenAt"`
	Resolved time.Time `json:"resolvedSeenAt"`
}

// Over tells whether the alert has ended.
func (s State) Over() bool { return !s.Resolved.IsZero() && !s.Firing.After(s.Resolved) }

// RecordOf reads an object's record.
func RecordOf(o *unstructured.Unstructured) Record {
	r := Record{Counts: map[string]int32{}, At: map[string]time.Time{}, Absorbed: map[string]int32{}, States: map[string]State{}}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		if name, _ := c["type"].(string); name != "onefire/Record" && !strings.HasPrefix(name, "onefire/Record-") {
			continue
		}
		message, _ := c["message"].(string)
		for line := range strings.SplitSeq(message, "\n") {
			r.read(strings.Fields(line))
		}
	}
	if key := o.GetAnnotations()["onefire/event"]; key != "" {
		r.Counts[key], r.At[key] = 1, o.GetCreationTimestamp().UTC()
	}
	return r
}

func (r *Record) read(words []string) {
	r.Omitted = r.Omitted || len(words) == 1 && words[0] == "omitted"
	if len(words) < 2 {
		return
	}
	switch first, at, counts := strings.Cut(words[0], "@"); {
	case words[0] == "absorbed" && len(words) == 3:
		n, _ := strconv.Atoi(words[2])
		r.Absorbed[words[1]] = int32(n)
	case words[0] == "state":
		var s State
		_ = json.Unmarshal([]byte(strings.Join(words[2:], " ")), &s)
		r.States[words[1]] = s
	case words[0] == "alert":
		var a Alert
		_ = json.Unmarshal([]byte(strings.Join(words[1:], " ")), &a)
		r.Alerts = append(r.Alerts, a)
	case counts:
		n, _ := strconv.Atoi(first)
		seconds, _ := strconv.ParseInt(at, 10, 64)
		for i, key := range words[1:] {
			r.Counts[key], r.At[key] = int32(n+i), time.Unix(seconds, 0).UTC()
		}
	}
}
