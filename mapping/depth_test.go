package mapping

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFlatten(t *testing.T) {
	for reason, row := range map[string]struct {
		in, want string
	}{
		"a number":                          {`1`, `1`},
		"two levels are left as they are":   {`{ "a" : [1] }`, `{ "a" : [1] }`},
		"the third becomes a text":          {`{"a":[{"b":1},2]}`, `{"a":["{\"b\":1}",2]}`},
		"in each item, not the first alone": {`[[[1],[2]],[[3],[4]]]`, `[["[1]","[2]"],["[3]","[4]"]]`},
		"and all below it":                  {`{"a":[{"b":[{"c":[]}]}]}`, `{"a":["{\"b\":[{\"c\":[]}]}"]}`},
		"an empty array is a level":         {`{"a":{"b":[]}}`, `{"a":{"b":"[]"}}`},
		"brackets in a text are no level":   {`{"a":["[[{{\"[["]}`, `{"a":["[[{{\"[["]}`},
		"numbers stay as they are written":  {`{"a":{"b":{"c":1.50}},"d":12345678901234567890}`, `{"a":{"b":"{\"c\":1.50}"},"d":12345678901234567890}`},
		"what is no JSON stays":             {`[[[`, `[[[`},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, string(flatten(json.RawMessage(row.in), 2)))
		})
	}
}

// anyJSON draws a JSON value that nests up to depth levels.
func anyJSON(t *rapid.T, depth int) any {
	text := rapid.SampledFrom([]string{"", "a", "<&>", `[{"`, `\`, "\u00e4"})
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	switch kind {
	case 0:
		return nil
	case 1:
		return json.Number("1.50")
	case 2, 3:
		return text.Draw(t, "text")
	case 4:
		list := make([]any, rapid.IntRange(0, 2).Draw(t, "items"))
		for i := range list {
			list[i] = anyJSON(t, depth-1)
		}
		return list
	default:
		object := map[string]any{}
		for range rapid.IntRange(0, 2).Draw(t, "fields") {
			object[text.Draw(t, "name")] = anyJSON(t, depth-1)
		}
		return object
	}
}

func TestFlattenKeepsToTheDepthAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		raw, err := json.Marshal(anyJSON(t, 7))
		require.NoError(t, err)
		out := flatten(raw, limit)
		require.True(t, json.Valid(out))
		require.LessOrEqual(t, nesting(out), limit)
		if nesting(raw) <= limit {
			require.Equal(t, string(raw), string(out))
		}
		require.Equal(t, string(out), string(flatten(out, limit)), "a second time changes nothing")
		// Each text at the limit that is a JSON object or array is one again.
		var was, is any
		require.NoError(t, json.Unmarshal(raw, &was))
		require.NoError(t, json.Unmarshal(out, &is))
		require.True(t, restored(was, is, limit), "%s became %s", raw, out)
	})
}

// restored tells whether a flattened value is the value, once the texts at its
// limit are read.
func restored(was, is any, depth int) bool {
	text, isText := is.(string)
	switch was := was.(type) {
	case []any:
		if depth == 0 {
			return isText && sameJSON(was, text)
		}
		list, ok := is.([]any)
		if !ok || len(list) != len(was) {
			return false
		}
		for i := range was {
			if !restored(was[i], list[i], depth-1) {
				return false
			}
		}
		return true
	case map[string]any:
		if depth == 0 {
			return isText && sameJSON(was, text)
		}
		object, ok := is.(map[string]any)
		if !ok || len(object) != len(was) {
			return false
		}
		for name := range was {
			if !restored(was[name], object[name], depth-1) {
				return false
			}
		}
		return true
	default:
		return was == is
	}
}

func sameJSON(v any, text string) bool {
	want, err := json.Marshal(v)
	var read any
	if err != nil || json.Unmarshal([]byte(text), &read) != nil {
		return false
	}
	got, err := json.Marshal(read)
	return err == nil && string(want) == string(got)
}

// DataStorage takes an event_data that nests ten levels and no more.
func TestADeepPayloadIsFlatInItsAuditEvent(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 14) + `1` + strings.Repeat(`}`, 14)
	s, err := Rules{Namespace: "ops"}.Signal(parseOne(t, `{"labels":{"alertname":"A"},"x":`+deep+`}`), now)
	require.NoError(t, err)
	require.Equal(t, 15, nesting(s.Payload), "the RemediationRequest has it whole")
	for _, r := range (Rules{}).Audit(s, Record{Decision: New, Request: request, Count: 1}, decided) {
		data, err := json.Marshal(r.Data)
		require.NoError(t, err)
		require.LessOrEqual(t, nesting(data), 10)
		require.LessOrEqual(t, nesting(r.Data.OriginalPayload), maxAuditDepth)
	}
}

func TestTimesOfAuditEventsAreInTheOrderOfCounts(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	last := at
	for count := int32(1); count < 100; count++ {
		decision := Duplicate
		if count == 1 {
			decision = New
		}
		for _, r := range (Rules{}).Audit(Signal{}, Record{Decision: decision, Request: request, Count: count}, at) {
			require.Greater(t, r.Timestamp, last)
			last = r.Timestamp
		}
	}
	require.Equal(t, 197*time.Microsecond, last.Sub(at))

	pair := (Rules{}).Audit(Signal{}, Record{Decision: New, Request: request, Count: 1}, at)
	require.Equal(t, time.Microsecond, pair[1].Timestamp.Sub(pair[0].Timestamp))
	for _, count := range []int32{500_000, 2_000_000_000} {
		many := (Rules{}).Audit(Signal{}, Record{Decision: New, Request: request, Count: count}, at)
		require.Equal(t, []time.Duration{999_998 * time.Microsecond, 999_999 * time.Microsecond},
			[]time.Duration{many[0].Timestamp.Sub(at), many[1].Timestamp.Sub(at)}, "within the second, or a later count could be before it")
	}
}

func TestAnAuditEventNamesItsID(t *testing.T) {
	annotations := map[string]string{"summary": "s", AuditIDKey: "a stranger's"}
	d := Record{Decision: New, Request: request, Count: 1, ID: func(eventType string) string { return "id of " + eventType }}
	for _, r := range (Rules{}).Audit(Signal{Annotations: annotations}, d, decided) {
		require.Equal(t, map[string]string{"summary": "s", AuditIDKey: "id of " + r.EventType}, r.Data.SignalAnnotations)
	}
	require.Equal(t, map[string]string{"summary": "s", AuditIDKey: "a stranger's"}, annotations, "the signal's own are left alone")
}
