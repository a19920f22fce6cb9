package kube

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

// made is an Event on a RemediationRequest of that name.
func made(name string) Event {
	return Event{
		On:   Object{APIVersion: "kubernaut.ai/v1alpha1", Kind: "RemediationRequest", Namespace: "onefire", Name: name, UID: "uid-" + "1"},
		Type: Normal, Reason: "RemediationRequested", Action: "Create", Note: "DiskFull (high)",
		At: time.Date(2026, 1, 17, 12, 0, 0, 123456789, time.FixedZone("", 3600)),
	}
}

func TestAnEventIsWhatTheAPITakes(t *testing.T) {
	body := made("rr-1").body("onefire-00001-deployment-abc")
	require.JSONEq(t, `{
		"apiVersion": "events.k8s.io/v1", "kind": "Event",
		"metadata": {"name": "`+made("rr-1").name()+`", "namespace": "onefire"},
		"eventTime": "2026-01-17T11:00:00.123456Z",
		"reportingController": "onefire", "reportingInstance": "onefire-00001-deployment-abc",
		"action": "Create", "reason": "RemediationRequested", "type": "Normal", "note": "DiskFull (high)",
		"regarding": {"apiVersion": "kubernaut.ai/v1alpha1", "kind": "RemediationRequest", "namespace": "onefire", "name": "rr-1", "uid": "uid-1"}
	}`, string(body))
}

func TestNamesTellHappeningsApart(t *testing.T) {
	later := made("rr-1")
	later.At, later.Note = later.At.Add(time.Minute), "told in other words"
	require.Equal(t, made("rr-1").name(), later.name(), "the same happening")
	require.Empty(t, validation.IsDNS1123Subdomain(made("rr-1").name()))
	require.Equal(t, "rr-1.16ef71e3b3beb01f", made("rr-1").name(), "the version before tells it by this name, too")
	for reason, change := range map[string]func(*Event){
		"another object":          func(e *Event) { e.On.Name = "rr-2" },
		"made anew":               func(e *Event) { e.On.UID = "uid-2" },
		"another reason":          func(e *Event) { e.Reason = "AlertCut" },
		"another of its reason":   func(e *Event) { e.Key = "x" },
		"what key and reason say": func(e *Event) { e.Reason, e.Key = "Remediation", "Requested" },
	} {
		other := made("rr-1")
		change(&other)
		require.NotEqual(t, made("rr-1").name(), other.name(), reason)
	}
}

func TestANoteIsOneLineOfBoundedSize(t *testing.T) {
	for reason, row := range map[string]struct{ in, want string }{
		"plain":                {"DiskFull (high)", "DiskFull (high)"},
		"letters of any kind":  {"磁盘满 – größer", "磁盘满 – größer"},
		"lines":                {"one\ntwo\r\n\tthree", "one two   three"},
		"a terminal's escapes": {"\x1b[31mred\x00", " [31mred "},
		"text from the right":  {"safe\u202eefas", "safe efas"},
		"no UTF-8":             {"a\xffb", "a\ufffdb"},
		"too long":             {strings.Repeat("é", 600), strings.Repeat("é", 510) + "…"},
		"just not too long":    {strings.Repeat("x", maxNote), strings.Repeat("x", maxNote)},
		"one byte too long":    {strings.Repeat("x", maxNote+1), strings.Repeat("x", maxNote-3) + "…"},
		"cut in a character":   {"xx" + strings.Repeat("😀", 256), "xx" + strings.Repeat("😀", 254) + "…"},
	} {
		require.Equal(t, row.want, oneLine(row.in), reason)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := oneLine(string(rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "text")))
		require.LessOrEqual(t, len(s), maxNote)
		require.True(t, utf8.ValidString(s))
		require.Equal(t, -1, strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }))
	})
}
