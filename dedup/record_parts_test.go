package dedup

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

func TestLinesArePackedUpToTheLimit(t *testing.T) {
	for limit, want := range map[int][]string{
		4: {"aa", "bb\nc"}, 5: {"aa\nbb", "c"}, 6: {"aa\nbb", "c"}, 7: {"aa\nbb\nc"}, 1: {"aa", "bb", "c"},
	} {
		require.Equal(t, want, pack([]string{"aa", "bb", "c"}, limit), limit)
	}
	require.Equal(t, []string{""}, pack(nil, 5))

	// The API server refuses a message that is longer.
	for length, conditions := range map[int]int{maxMessage: 1, maxMessage + 1: 2} {
		o := object{absorbed: map[string]int32{"u": 1}}
		o.absorbed[strings.Repeat("v", length-len("absorbed u 1\nabsorbed  1"))] = 1
		require.Len(t, o.conditions(), conditions)
	}
}

// A record that is too long for one condition goes on in others, after those of other
// programs, and is read from all of them.
func TestALongRecordIsInSeveralConditions(t *testing.T) {
	o := lone()
	for key, entry := range recordOfMany(maxKeys, nil) {
		o.events[digest(key)[:16]] = entry
	}
	o.foreign = []rawText{`{"type":"Ready"}`, `{"type":"Done"}`}
	var all []rawText
	var types []string
	for _, c := range o.conditions() {
		text, err := json.Marshal(c)
		require.NoError(t, err)
		all = append(all, rawText(text))
		var read condition
		require.NoError(t, json.Unmarshal(text, &read))
		types = append(types, read.Type)
		require.LessOrEqual(t, len(read.Message), maxMessage)
	}
	require.Equal(t, []string{"Ready", "Done", "onefire/Record", "onefire/Record-2", "onefire/Record-3"}, types)
	got := object{events: map[string]recordEntry{}, absorbed: map[string]int32{}}
	require.True(t, got.readConditions(all))
	require.Equal(t, o.events, got.events)
	require.Equal(t, o.foreign, got.foreign)
}

func TestWhichConditionsAreTheRecord(t *testing.T) {
	for text, ours := range map[string]bool{
		`{"type":"onefire/Record","message":"1@5 k"}`:              true,
		`{"type":"onefire/Record-2","message":"1@5 k"}`:            true,
		`{"type":"onefire/Recorded","message":"1@5 k"}`:            false,
		`{"type":"Ready","message":"1@5 k"}`:                       false,
		`{"type":"Ready","message":"1@5 k","by":"onefire/Record"}`: false,
		`{"type":5,"message":"1@5 k","by":"onefire/Record"}`:       false,
		`{"type":"my-onefire/Record","message":"1@5 k"}`:           false,
	} {
		o := object{events: map[string]recordEntry{}, absorbed: map[string]int32{}}
		require.Equal(t, ours, o.readConditions([]rawText{rawText(text)}), text)
		require.Equal(t, ours, len(o.events) == 1, text)
		require.Equal(t, ours, len(o.foreign) == 0, text)
	}
}

func TestWhatALineOfARecordSays(t *testing.T) {
	for line, want := range map[string]map[string]recordEntry{
		"3@7 k l":        {"k": {3, 7}, "l": {4, 7}},
		"2147483647@7 k": {"k": {2147483647, 7}},
		"2147483648@7 k": {},
		"0@7 k":          {},
		"-1@7 k":         {},
		"3@x k":          {},
		"x@7 k":          {},
		"3 k":            {},
		"3@ k":           {},
		"":               {},
	} {
		o := object{events: map[string]recordEntry{}, absorbed: map[string]int32{}}
		o.readLine(line)
		require.Equal(t, want, o.events, line)
	}
	for line, want := range map[string]map[string]int32{
		"absorbed u 3": {"u": 3}, "absorbed u 1": {"u": 1}, "absorbed u 2147483647": {"u": 2147483647}, "absorbed u 2147483648": {}, "absorbed u 0": {}, "absorbed u -1": {}, "absorbed u x": {}, "absorbed u": {},
	} {
		o := object{absorbed: map[string]int32{}}
		o.readLine(line)
		require.Equal(t, want, o.absorbed, line)
	}
	require.Equal(t, time.Unix(7, 0).UTC(), recordEntry{1, 7}.time())
}

func TestWhatASignalLacksIsNotInItsRequest(t *testing.T) {
	request := newRequest("rr", "", mapping.Signal{Target: mapping.Target{Kind: "Node", Name: "n"}}, "alert", "k", epoch)
	require.Equal(t, map[string]string{"kind": "Node", "name": "n"}, request["spec"].(map[string]any)["targetResource"])
	require.NotContains(t, request["spec"], "clusterID")
	require.Equal(t, map[string]string{eventAnnotation: "k"}, request["metadata"].(map[string]any)["annotations"])
}

// The record decides. A patch writes again what people see of it, where that differs.
func TestWhenThePatchShowsAllAgain(t *testing.T) {
	const record = `alert {"id":"0123456789abcdef","alertname":"B","severity":"low"}`
	shown := func(id, severity string) string {
		return `"alerts":[{"id":"` + id + `","alertname":"B","severity":"` + severity + `"}]`
	}
	same := shown("0123456789abcdef", "low")
	for reason, row := range map[string]struct {
		record, shown string
		stale         bool
	}{
		"it is the same":             {recordOf("Counted", record), same, false},
		"an alert is missing":        {recordOf("Counted", record), `"occurrenceCount":2`, true},
		"another alert":              {recordOf("Counted", record), shown("other", "low"), true},
		"another severity":           {recordOf("Counted", record), shown("0123456789abcdef", "high"), true},
		"alerts are omitted":         {recordOf("Counted", record+"\nomitted"), same, true},
		"alerts are omitted in both": {recordOf("Counted", record+"\nomitted"), same + `,"alertsOmitted":true`, false},
		"it ended":                   {recordOf("Resolved", record), same, true},
		"it ended in both":           {recordOf("Resolved", record), same + `,"lastResolvedAt":"` + ago(time.Minute) + `"`, false},
		"it did not end":             {recordOf("Counted", record), same + `,"lastResolvedAt":"` + ago(time.Minute) + `"`, true},
	} {
		require.Equal(t, row.stale, read(t, `{"status":{`+row.record+`,"deduplication":{`+row.shown+`}}}`).displayStale, reason)
	}
}

// The record comes before the fields of an earlier version, which are read where there is
// no record, or where that version has written since.
func TestWhatAnEarlierVersionKept(t *testing.T) {
	const (
		record = `state 0123456789abcdef {"firingSeenAt":"2026-01-17T12:00:00Z"}`
		alerts = `"alerts":[{"id":"0123456789abcdef","alertname":"B","severity":"low"}]`
		old    = `"events":{"k":3,"l":1},"absorbed":{"u":1,"v":2},"alertStates":{"a":{"firingSeenAt":"2026-01-17T12:00:00Z"},"b":{"firingSeenAt":"2026-01-17T12:01:00Z"}}`
	)
	status := func(record, deduplication string) object {
		return read(t, `{"metadata":{"creationTimestamp":"2026-01-17T12:00:00Z"},"status":{`+record+`"deduplication":{`+deduplication+`}}}`)
	}
	o := status("", old+","+alerts+`,"alertsOmitted":true`)
	require.Equal(t, counts(map[string]int32{"k": 3, "l": 1}), o.events)
	require.Equal(t, map[string]int32{"u": 1, "v": 2}, o.absorbed)
	require.Len(t, o.others, 1)
	require.Len(t, o.states, 2)
	require.True(t, o.omitted)

	o = status(recordOf("Counted", record+"\n7@1768651200 k\nomitted")+",", old)
	require.Equal(t, counts(map[string]int32{"k": 7, "l": 1}), o.events)
	require.Len(t, o.states, 3)
	require.True(t, o.omitted)

	o = status(recordOf("Counted", record)+",", alerts)
	require.Empty(t, o.others, "the record names none")
}

func TestATextThatIsNoTime(t *testing.T) {
	for text, want := range map[string]time.Time{"": {}, "soon": {}, "2026-01-17T12:00:00Z?": {}, "2026-02-30T12:00:00Z": {}, "2026-01-17T12:00:00Z": epoch} {
		require.True(t, want.Equal(parseTime(text)), text)
	}
}
