package mapping

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// hostile is text as nobody should send it: control characters, broken UTF-8,
// far too long, and ordinary text between.
var hostile = rapid.OneOf(
	rapid.String(),
	rapid.StringMatching(`[a-z0-9-]{1,20}`),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 60), func(b []byte) string { return string(b) }),
	rapid.SampledFrom([]string{"", " ", "\x00", "\x1b[2J", "\x7f", "\r\n", "\xff\xfe", "\xed\xa0\x80", "\u202e", "onefire_cut", ":", `"`}),
	rapid.Custom(func(t *rapid.T) string {
		unit := rapid.SampledFrom([]string{"x", "満", "\x00", "\xff", "ab\xe2\x82", "\n", "🔥"}).Draw(t, "unit")
		return strings.Repeat(unit, rapid.IntRange(1, 6000).Draw(t, "times")) + rapid.String().Draw(t, "end")
	}),
)

// names are label names: those with a meaning, and hostile ones.
var names = rapid.OneOf(
	rapid.SampledFrom(append([]string{"exported_namespace", "exported_pod", "service", "deployment", "persistentvolume"}, identityLabels...)),
	hostile,
)

// texts are maps with up to 200 entries beside the hostile ones.
func texts(t *rapid.T, what string) map[string]string {
	out := rapid.MapOfN(names, hostile, 0, 12).Draw(t, what)
	value := hostile.Draw(t, "value of the others")
	for i := range rapid.IntRange(0, 200).Draw(t, "others") {
		out[fmt.Sprintf("l%03d", i)] = value
	}
	return out
}

var raws = rapid.Custom(func(t *rapid.T) json.RawMessage {
	switch rapid.IntRange(0, 3).Draw(t, "shape of the payload") {
	case 0:
		return json.RawMessage(hostile.Draw(t, "bytes"))
	case 1:
		return json.RawMessage(nested(rapid.IntRange(1, 40).Draw(t, "levels")))
	case 2:
		return json.RawMessage(`{"a":"` + rapid.SampledFrom([]string{`\u0000`, `\\u0000`, "\xff", `\ud800`}).Draw(t, "text") + `"}`)
	default:
		// Marshalling a map of texts cannot fail.
		b, _ := json.Marshal(map[string]any{"labels": texts(t, "labels in the payload")})
		return b
	}
})

// anyAlert is any alert that [Parse] could return, and more.
var anyAlert = rapid.Custom(func(t *rapid.T) Alert {
	a := Alert{Raw: raws.Draw(t, "raw"), StartsAt: time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "start"), 0).UTC()}
	if rapid.IntRange(0, 9).Draw(t, "undecodable") == 0 {
		a.Problem = "not an alert: " + hostile.Draw(t, "problem")
		return a
	}
	a.Labels, a.Annotations = texts(t, "labels"), texts(t, "annotations")
	return a
})

var anyRules = rapid.Custom(func(t *rapid.T) Rules {
	return Rules{
		Fingerprint: rapid.SampledFrom([]FingerprintMode{ByAlert, ByResource}).Draw(t, "fingerprint"),
		Placement:   rapid.SampledFrom([]Placement{PlacementFixed, PlacementSignal}).Draw(t, "placement"),
		Schema:      rapid.SampledFrom([]Schema{Schema202601, Schema202608}).Draw(t, "schema"),
		Severities:  SeverityMap{"page": Medium},
		Severity:    rapid.SampledFrom([]SeverityMode{SeverityMapped, SeverityRaw}).Draw(t, "severity"),
		Namespace:   "ops",
	}
})

func TestAnyAlertGivesASignalWithinTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, rules := anyAlert.Draw(t, "alert"), anyRules.Draw(t, "rules")
		s, err := rules.Signal(a, now)
		require.NoError(t, beyondLimits(s))
		if err != nil {
			require.NoError(t, textBroken("error", err.Error(), maxErrorText))
			return
		}
		require.NotEmpty(t, s.Name)
	})
}

func TestMappingIsAPureFunction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, rules := anyAlert.Draw(t, "alert"), anyRules.Draw(t, "rules")
		// A clone has its own iteration order.
		before := Alert{
			Labels: maps.Clone(a.Labels), Annotations: maps.Clone(a.Annotations),
			Raw: slices.Clone(a.Raw), StartsAt: a.StartsAt, Problem: a.Problem,
		}
		first, firstErr := rules.Signal(a, now)
		again, againErr := rules.Signal(before, now)
		require.Equal(t, first, again)
		require.Equal(t, firstErr, againErr)
		require.Equal(t, before, a, "the alert itself is not changed")
		require.Equal(t, a.Identity(), before.Identity())
	})
}

func TestAnySignalMakesAuditEventsThatCanBeSent(t *testing.T) {
	records := []Record{
		{Decision: New, Request: "rr-0123456789ab-01234567", Count: 1},
		{Decision: Duplicate, Request: "rr-0123456789ab-01234567", Count: 2},
		{Decision: Invalid, Failure: &Failure{Code: "ERR_INVALID_ALERT", Message: strings.Repeat("\x00", 3000)}},
	}
	rapid.Check(t, func(t *rapid.T) {
		rules := anyRules.Draw(t, "rules")
		s, _ := rules.Signal(anyAlert.Draw(t, "alert"), now)
		for _, request := range rules.Audit(s, rapid.SampledFrom(records).Draw(t, "record"), now) {
			body, err := json.Marshal(request)
			require.NoError(t, err)
			// DataStorage takes 5 MiB; the promise is to stay well below.
			require.Less(t, len(body), 1<<20)
			require.NotEmpty(t, request.CorrelationID)
			require.LessOrEqual(t, len(request.CorrelationID), 255)
			require.NotEmpty(t, request.Data.AlertName+request.Data.SignalName)
			require.NotEmpty(t, request.Data.Namespace)
		}
	})
}

func TestTextsThatAreCutStayDifferent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{64, maxName, maxKey, maxErrorText}).Draw(t, "limit")
		same := strings.Repeat(rapid.SampledFrom([]string{"x", "満", "\x00"}).Draw(t, "unit"), limit)
		a, b := same+hostile.Draw(t, "a")+".", same+hostile.Draw(t, "b")+"."
		cutA, cutB := cut(a, limit), cut(b, limit)
		require.NoError(t, textBroken("cut text", cutA, limit))
		require.Equal(t, a == b, cutA == cutB)
		require.Equal(t, cutA, cut(cutA, limit), "cutting again changes nothing")
	})
}

func TestAlertsThatAreCutStayDifferent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := numbered(rapid.IntRange(1, 3*maxLabels).Draw(t, "labels"), strings.Repeat("v", rapid.IntRange(0, 2*maxLabelValue).Draw(t, "bytes")))
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(labels))).Draw(t, "the label that differs")
		before := bounded(labels, maxLabels, maxLabelValue)
		labels[name] += "!"
		require.NotEqual(t, before, bounded(labels, maxLabels, maxLabelValue))
		labels[strings.Repeat("k", 2*maxKey)+name] = labels[name]
		delete(labels, name)
		require.NotEqual(t, before, bounded(labels, maxLabels, maxLabelValue))
	})
}
