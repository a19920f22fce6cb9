package mapping

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// identityLabels are kept before all others when there are too many labels.
var identityLabels = []string{"alertname", "severity", "namespace", "pod", "node", "instance", "cluster"}

// cutKey names the entry that says how much of a map was left out.
const cutKey = "onefire_cut"

// payloadCut is the end of what stands in for a payload, whose fields are sorted.
const payloadCut = `,"truncated":true}`

// clean makes s valid UTF-8 without control characters except tab and newline: a
// NUL alone makes some databases refuse a whole record. Nor has it those that change
// the direction of text: they make a name read as another one.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' || unicode.Is(unicode.Bidi_Control, r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// cut cleans s and bounds it to limit bytes, at least 64. A text that is too long ends
// in a marker that has the full length and a hash, so that two long texts that
// differ stay different.
func cut(s string, limit int) string {
	c := clean(s)
	if len(c) <= limit {
		return c
	}
	marker := fmt.Sprintf("…[%d bytes, sha256:%s]", len(s), digest([]byte(s))[:12])
	head := c[:limit-len(marker)]
	for !utf8.ValidString(head) {
		head = head[:len(head)-1]
	}
	return head + marker
}

// Cut tells whether some of the alert was too long, too much or too deep for the
// signal, which then holds a marker in its place.
func (s Signal) Cut() bool {
	for _, text := range []string{s.Name, s.Cluster, s.Target.Name, s.Target.Namespace} {
		if marked(text) {
			return true
		}
	}
	for _, m := range []map[string]string{s.Labels, s.Annotations} {
		for name, value := range m {
			if name == cutKey || marked(name) || marked(value) {
				return true
			}
		}
	}
	return bytes.HasSuffix(s.Payload, []byte(payloadCut))
}

// marked tells whether a text ends in the marker of [cut].
func marked(s string) bool {
	return strings.HasSuffix(s, "]") && strings.Contains(s, " bytes, sha256:")
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// bounded cleans and cuts a map of labels or annotations. Entries that do not fit are
// counted and hashed under [cutKey].
func bounded(in map[string]string, entries, value int) map[string]string {
	names := slices.Sorted(maps.Keys(in))
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })

	out := make(map[string]string, min(len(in), entries))
	left, size := sha256.New(), 0
	dropped := 0
	for _, name := range names {
		k, v := cut(name, maxKey), cut(in[name], value)
		if _, taken := out[k]; taken || name == cutKey || len(out) == entries || size+len(k)+len(v) > maxMap {
			fmt.Fprintf(left, "%q=%q\n", name, in[name])
			dropped++
			continue
		}
		out[k] = v
		size += len(k) + len(v)
	}
	if dropped > 0 {
		out[cutKey] = fmt.Sprintf("%d entries left out, sha256:%s", dropped, hex.EncodeToString(left.Sum(nil))[:12])
	}
	return out
}

func rank(label string) int {
	if i := slices.Index(identityLabels, label); i >= 0 {
		return i
	}
	return len(identityLabels)
}

// payload is the alert's own JSON with its texts clean, where it is small and
// flat, and otherwise an object that says what was left out. It is always one
// JSON object.
func payload(raw json.RawMessage) json.RawMessage {
	if len(raw) <= maxPayload {
		var o map[string]any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber() // Numbers stay as they were written.
		if d.Decode(&o) == nil && o != nil {
			if whole, ok := cleanJSON(o, maxPayloadDepth); ok {
				// A value that was decoded from JSON can be encoded again.
				if out, _ := json.Marshal(whole); len(out) <= maxPayload {
					return out
				}
			}
		}
	}
	// Marshalling a map of texts and numbers cannot fail.
	out, _ := json.Marshal(map[string]any{
		"truncated": true,
		"bytes":     len(raw),
		"sha256":    digest(raw),
	})
	return out
}

// cleanJSON cleans all texts of a decoded JSON value that nests at most depth
// levels.
func cleanJSON(v any, depth int) (any, bool) {
	switch v := v.(type) {
	case string:
		return clean(v), true
	case []any:
		for i := range v {
			item, ok := cleanJSON(v[i], depth-1)
			if !ok {
				return nil, false
			}
			v[i] = item
		}
		return v, depth > 0
	case map[string]any:
		out := make(map[string]any, len(v))
		// Sorted, so that of two names that are the same when clean, the
		// same one stays each time.
		for _, name := range slices.Sorted(maps.Keys(v)) {
			item, ok := cleanJSON(v[name], depth-1)
			if !ok {
				return nil, false
			}
			out[clean(name)] = item
		}
		return out, depth > 0
	case json.Number:
		// Not every reader takes a number that no float64 can hold.
		_, err := v.Float64()
		return v, err == nil
	default:
		return v, true
	}
}
