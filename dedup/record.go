package dedup

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The record of an object makes counting idempotent: it holds the keys that were counted,
// and the state of their alerts. It is the message of a status condition, because other
// controllers keep conditions. A controller that writes the whole status from its own Go
// type drops the fields that this type does not have, and a CRD that is not ours prunes
// them.
//
// Each line of the message stands for itself. A record that is too long for one condition
// continues in another one.
//
//	2@1768651200 KEY KEY …   the keys with the counts 2, 3, …, and when they were counted
//	absorbed UID 3           the count that was taken over from a duplicate
//	alert {…}                a folded alert
//	state ID {…}             whether an alert fires
//	omitted                  more alerts were folded than are named

const (
	// recordType is the type of the first condition; those that continue it end in -2,
	// -3, and so on.
	recordType = "onefire/Record"
	// counted and resolved are the condition's reasons, for people.
	counted  = "Counted"
	resolved = "Resolved"
)

// KeepsNoRecord tells that the CRD drops the record, so that a redelivery counts again.
// The warnings are the values of an answer's Warning header.
func KeepsNoRecord(warnings []string) bool {
	return slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "status.conditions") })
}

// recordEntry is the count that a key made, and when that was, in seconds since 1970.
type recordEntry struct {
	count int32
	at    int64
}

// condition is a status condition as Kubernetes defines it.
type condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason"`
	Message            string `json:"message"`
	LastTransitionTime string `json:"lastTransitionTime"`
}

// record returns an object's record as lines.
func (o object) record() []string {
	lines := o.counts()
	for _, uid := range slices.Sorted(maps.Keys(o.absorbed)) {
		lines = append(lines, fmt.Sprintf("absorbed %s %d", uid, o.absorbed[uid]))
	}
	for _, a := range o.others {
		lines = append(lines, "alert "+jsonText(a.wire()))
	}
	for _, id := range slices.Sorted(maps.Keys(o.states)) {
		lines = append(lines, "state "+id+" "+jsonText(o.states[id].wire()))
	}
	if o.omitted {
		lines = append(lines, "omitted")
	}
	return lines
}

// counts returns the lines of the keys. The key that the object was created for is in an
// annotation instead.
func (o object) counts() (lines []string) {
	var line strings.Builder
	var next recordEntry
	keys := newestFirst(o.events)
	slices.Reverse(keys)
	for i, in := 0, 0; i < len(keys); i++ {
		if keys[i] == o.createdFor {
			continue
		}
		m := o.events[keys[i]]
		if in == 0 || in == keysPerLine || m != next {
			if in > 0 {
				lines = append(lines, line.String())
				line.Reset()
			}
			fmt.Fprintf(&line, "%d@%d", m.count, m.at)
			in = 0
		}
		line.WriteString(" " + keys[i])
		next, in = recordEntry{plus(m.count, 1), m.at}, in+1
	}
	if line.Len() > 0 {
		lines = append(lines, line.String())
	}
	return lines
}

// jsonText encodes a value that cannot fail to encode.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// conditions returns the conditions of other programs, unchanged, and the object's
// record.
func (o object) conditions() []any {
	all := make([]any, 0, len(o.foreign)+1)
	for _, c := range o.foreign {
		all = append(all, json.RawMessage(c))
	}
	since, reason := o.createdAt, counted
	if !o.lastResolved.IsZero() {
		since, reason = o.lastResolved, resolved
	}
	for i, message := range pack(o.record(), maxMessage) {
		name := recordType
		if i > 0 {
			name = fmt.Sprintf("%s-%d", recordType, i+1)
		}
		all = append(all, condition{name, "True", reason, message, formatTime(since)})
	}
	return all
}

// pack joins lines to texts of at most limit bytes each. It returns at least one text.
func pack(lines []string, limit int) []string {
	texts := []string{""}
	for _, line := range lines {
		last := &texts[len(texts)-1]
		switch {
		case *last == "":
			*last = line
		case len(*last)+1+len(line) <= limit:
			*last += "\n" + line
		default:
			texts = append(texts, line)
		}
	}
	return texts
}

// readConditions reads an object's record and keeps the conditions of other programs. It
// returns whether there was a record.
func (o *object) readConditions(all []rawText) (found bool) {
	for _, text := range all {
		var c condition
		// Only few conditions are decoded, because most of them belong to other programs.
		if !bytes.Contains([]byte(text), []byte(recordType)) || json.Unmarshal([]byte(text), &c) != nil ||
			c.Type != recordType && !strings.HasPrefix(c.Type, recordType+"-") {
			o.foreign = append(o.foreign, text)
			continue
		}
		found = true
		if c.Reason == resolved {
			o.lastResolved = parseTime(c.LastTransitionTime)
		}
		for line := range strings.Lines(c.Message) {
			o.readLine(strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}

// readLine reads one line of a record. It ignores lines that it does not understand.
func (o *object) readLine(line string) {
	kind, rest, _ := strings.Cut(line, " ")
	switch kind {
	case "absorbed":
		uid, count, _ := strings.Cut(rest, " ")
		if n, err := strconv.ParseInt(count, 10, 32); err == nil && n > 0 {
			o.absorbed[uid] = max(o.absorbed[uid], int32(n))
		}
	case "alert":
		var a wireAlert
		if json.Unmarshal([]byte(rest), &a) == nil {
			o.addNamed(a)
		}
	case "state":
		id, text, _ := strings.Cut(rest, " ")
		var s wireState
		if json.Unmarshal([]byte(text), &s) == nil {
			o.mergeState(id, s)
		}
	case "omitted":
		o.omitted = true
	default:
		first, at, _ := strings.Cut(kind, "@")
		count, err1 := strconv.ParseInt(first, 10, 32)
		seconds, err2 := strconv.ParseInt(at, 10, 64)
		if cmp.Or(err1, err2) != nil || count <= 0 {
			return
		}
		m := recordEntry{int32(count), seconds}
		for _, key := range strings.Fields(rest) {
			o.events[key] = m
			m.count = plus(m.count, 1)
		}
	}
}

// addNamed adds an alert to the list. An alert without an id, but with the name and
// severity of the object's own alert, is that alert.
func (o *object) addNamed(a wireAlert) {
	if other := (alert{a.ID, a.Alertname, a.Severity}); other != o.alert {
		o.add(folded{other, a.Labels, parseTime(a.FirstSeenAt)})
	}
}

func (o *object) mergeState(id string, s wireState) {
	if o.states == nil {
		o.states = map[string]state{}
	}
	o.states[id] = o.states[id].merge(state{firing: parseTime(s.FiringSeenAt), resolved: parseTime(s.ResolvedSeenAt), ended: parseTime(s.EndsAt)})
}

func entryAt(count int32, at time.Time) recordEntry { return recordEntry{count, at.Unix()} }

func (m recordEntry) time() time.Time { return time.Unix(m.at, 0).UTC() }
