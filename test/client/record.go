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
	// Alerts are the states of alerts, by their identities.
	Alerts map[string]State
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
	r := Record{map[string]int32{}, map[string]time.Time{}, map[string]int32{}, map[string]State{}}
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

func (r Record) read(words []string) {
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
		r.Alerts[words[1]] = s
	case counts:
		n, _ := strconv.Atoi(first)
		seconds, _ := strconv.ParseInt(at, 10, 64)
		for i, key := range words[1:] {
			r.Counts[key], r.At[key] = int32(n+i), time.Unix(seconds, 0).UTC()
		}
	}
}
