package mapping

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	for reason, row := range map[string]struct{ in, want string }{
		"ordinary text":                    {"Pod is crash looping.", "Pod is crash looping."},
		"tab and newline are text":         {"a\tb\nc", "a\tb\nc"},
		"any script is text":               {"ディスク満杯 🔥 é", "ディスク満杯 🔥 é"},
		"a NUL makes databases refuse":     {"a\x00b", "a\uFFFDb"},
		"an escape sequence":               {"\x1b[31mred", "\uFFFD[31mred"},
		"a carriage return hides a line":   {"a\rb", "a\uFFFDb"},
		"DEL":                              {"a\x7fb", "a\uFFFDb"},
		"a run of broken UTF-8":            {"a\xff\xfeb", "a\uFFFDb"},
		"the first half of a rune":         {"a\xe2\x82", "a\uFFFD"},
		"a surrogate half in UTF-8's form": {"a\xed\xa0\x80b", "a\uFFFDb"},
		"text that runs backwards":         {"pay\u202Etnem\u202C", "pay\uFFFDtnem\uFFFD"},
		"text that stands alone":           {"a\u2066b\u2067c\u2068d\u2069", "a\uFFFDb\uFFFDc\uFFFDd\uFFFD"},
		"a mark of direction":              {"a\u200Eb\u200Fc\u061Cd", "a\uFFFDb\uFFFDc\uFFFDd"},
		"what joins an emoji is text":      {"👩\u200D🚒", "👩\u200D🚒"},
		"right to left is text":            {"שלום", "שלום"},
		"nothing":                          {"", ""},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, clean(row.in))
		})
	}
}

func TestCut(t *testing.T) {
	whole := strings.Repeat("x", maxName)
	require.Equal(t, whole, cut(whole, maxName), "what just fits stays whole")

	long := whole + "y"
	got := cut(long, maxName)
	require.Len(t, got, maxName)
	marker := fmt.Sprintf("…[254 bytes, sha256:%s]", digest([]byte(long))[:12])
	require.True(t, strings.HasSuffix(got, marker), "%q says how much there was", got)
	require.True(t, strings.HasPrefix(long, strings.TrimSuffix(got, marker)), "%q begins as it did", got)

	// Each character has three bytes, so some limit falls inside of one.
	for limit := 64; limit < 70; limit++ {
		require.NoError(t, textBroken("cut text", cut(strings.Repeat("満", 100), limit), limit))
	}
}

// numbered is a map of n entries that sort before every label with a meaning.
func numbered(n int, value string) map[string]string {
	out := map[string]string{}
	for i := range n {
		out[fmt.Sprintf("a%04d", i)] = value
	}
	return out
}

func TestTheMostLabelsAreKeptWhole(t *testing.T) {
	in := numbered(maxLabels, "v")
	require.Equal(t, in, bounded(in, maxLabels, maxLabelValue))
	require.Empty(t, bounded(nil, maxLabels, maxLabelValue))
}

func TestTooManyLabelsKeepTheAlertsIdentity(t *testing.T) {
	for reason, value := range map[string]string{
		"too many entries": "v",
		"too many bytes":   strings.Repeat("v", maxLabelValue),
	} {
		t.Run(reason, func(t *testing.T) {
			in := numbered(2*maxLabels, value)
			for _, label := range identityLabels {
				in[label] = "identity"
			}
			out := bounded(in, maxLabels, maxLabelValue)
			for _, label := range identityLabels {
				require.Equal(t, "identity", out[label])
			}
			require.NoError(t, mapBroken("labels", out, maxLabels, maxLabelValue))
			left := 2*maxLabels + len(identityLabels) - (len(out) - 1)
			require.Regexp(t, fmt.Sprintf(`^%d entries left out, sha256:[0-9a-f]{12}$`, left), out[cutKey])
		})
	}
}

func TestLabelsLeftOutStillTellAlertsApart(t *testing.T) {
	in := numbered(2*maxLabels, "v")
	last := fmt.Sprintf("a%04d", 2*maxLabels-1)
	before := bounded(in, maxLabels, maxLabelValue)
	require.NotContains(t, before, last)
	in[last] = "w"
	require.NotEqual(t, before, bounded(in, maxLabels, maxLabelValue))
}

func TestLabelNamesThatBecomeTheSameAreCounted(t *testing.T) {
	out := bounded(map[string]string{"a\x00": "1", "a\x01": "2"}, maxLabels, maxLabelValue)
	require.Equal(t, "1", out["a\uFFFD"])
	require.Contains(t, out[cutKey], "1 entries left out")
	require.Len(t, out, 2)
}

// nested is an object with n levels of objects in all.
func nested(n int) string {
	return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
}

func TestPayloadIsKeptWhereItIsSmallAndFlat(t *testing.T) {
	full := `{"a":"` + strings.Repeat("x", maxPayload-8) + `"}`
	require.Len(t, full, maxPayload)
	for reason, row := range map[string]struct{ raw, want string }{
		"an alert":                      {`{"labels":{"alertname":"A"}}`, `{"labels":{"alertname":"A"}}`},
		"white space goes":              {" {\n\t\"a\" : [ 1, 2 ] }\r\n", `{"a":[1,2]}`},
		"names are sorted":              {`{"b":1,"a":2}`, `{"a":2,"b":1}`},
		"a NUL, which jsonb refuses":    {`{"a":"\u0000"}`, "{\"a\":\"\uFFFD\"}"},
		"a NUL in a name":               {`{"\u0000":"a"}`, "{\"\uFFFD\":\"a\"}"},
		"names that are the same clean": {`{"\u0000":"a","\u0001":"b"}`, "{\"\uFFFD\":\"b\"}"},
		"half a surrogate pair":         {`{"a":"\ud800"}`, "{\"a\":\"\uFFFD\"}"},
		"a whole surrogate pair":        {`{"a":"\ud83d\ude00"}`, `{"a":"😀"}`},
		"numbers stay exact":            {`{"a":12345678901234567890.10}`, `{"a":12345678901234567890.10}`},
		"escapes stay escapes":          {`{"a":"\u0026\n"}`, `{"a":"\u0026\n"}`},
		"broken UTF-8":                  {"{\"a\":\"\xff\"}", "{\"a\":\"\uFFFD\"}"},
		"the largest":                   {full, full},
		"the deepest":                   {nested(maxPayloadDepth), nested(maxPayloadDepth)},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, string(payload(json.RawMessage(row.raw))))
		})
	}
}

func TestPayloadSaysWhatWasLeftOut(t *testing.T) {
	for reason, raw := range map[string]string{
		"one byte too large":        `{"a":"` + strings.Repeat("x", maxPayload-7) + `"}`,
		"too large once clean":      `{"a":"` + strings.Repeat("\xff", maxPayload/2) + `"}`,
		"one level too deep":        nested(maxPayloadDepth + 1),
		"arrays are levels too":     `{"a":` + strings.Repeat("[", maxPayloadDepth) + strings.Repeat("]", maxPayloadDepth) + `}`,
		"a number beyond a float64": `{"a":1e999}`,
		"an array":                  `[{"a":1}]`,
		"text":                      `"a"`,
		"null":                      `null`,
		"no JSON":                   `{"a":`,
		"nothing":                   ``,
	} {
		t.Run(reason, func(t *testing.T) {
			require.JSONEq(t,
				fmt.Sprintf(`{"truncated":true,"bytes":%d,"sha256":%q}`, len(raw), digest([]byte(raw))),
				string(payload(json.RawMessage(raw))))
		})
	}
}

func TestASendersOwnCutMarkIsCounted(t *testing.T) {
	in := map[string]string{cutKey: "a", "alertname": "A"}
	other := map[string]string{cutKey: "b", "alertname": "A"}
	require.Contains(t, bounded(in, maxLabels, maxLabelValue)[cutKey], "1 entries left out")
	require.NotEqual(t, bounded(in, maxLabels, maxLabelValue), bounded(other, maxLabels, maxLabelValue))
}

func TestASignalTellsWhetherItIsCut(t *testing.T) {
	long := strings.Repeat("x", 20<<10)
	for reason, row := range map[string]struct {
		alert string
		want  bool
	}{
		"an ordinary alert":      {`{"labels":{"alertname":"A","pod":"p"},"annotations":{"summary":"[1 of 2]"}}`, false},
		"a long name":            {`{"labels":{"alertname":"` + long[:300] + `"}}`, true},
		"a long cluster":         {`{"labels":{"alertname":"A","cluster":"` + long[:300] + `"}}`, true},
		"a long label":           {`{"labels":{"alertname":"A","l":"` + long[:maxLabelValue+1] + `"}}`, true},
		"a long label name":      {`{"labels":{"alertname":"A","` + long[:300] + `":"l"}}`, true},
		"a long annotation":      {`{"labels":{"alertname":"A"},"annotations":{"a":"` + long[:maxAnnotationValue+1] + `"}}`, true},
		"too many labels":        {`{"labels":{"alertname":"A"` + manyFields(maxLabels) + `}}`, true},
		"just not too many":      {`{"labels":{"alertname":"A"` + manyFields(maxLabels-1) + `}}`, false},
		"a payload too large":    {`{"labels":{"alertname":"A"},"other":"` + long + `"}`, true},
		"a payload too deep":     {`{"labels":{"alertname":"A"},"other":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, true},
		"an end that is not cut": {`{"labels":{"alertname":"A","l":"` + long[:maxLabelValue] + `"}}`, false},
	} {
		t.Run(reason, func(t *testing.T) {
			n, err := Parse([]byte(row.alert), time.Time{})
			require.NoError(t, err)
			s, err := Rules{ClusterLabel: "cluster"}.Signal(n.Alerts[0], time.Time{})
			require.NoError(t, err)
			require.Equal(t, row.want, s.Cut())
		})
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"l%d":"v"`, i)
	}
	return b.String()
}
