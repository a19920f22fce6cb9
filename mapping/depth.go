package mapping

import (
	"bytes"
	"encoding/json"
	"strings"
)

// flatten makes a JSON value nest at most depth levels: an object or array that is
// deeper becomes a text that holds its JSON. A value that is flat enough, or is
// not JSON, stays as it is.
func flatten(raw json.RawMessage, depth int) json.RawMessage {
	if nesting(raw) <= depth {
		return raw
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // Numbers stay as they were written.
	if d.Decode(&v) != nil {
		return raw
	}
	// A value that was decoded from JSON can be encoded again.
	out, _ := json.Marshal(flattened(v, depth))
	return out
}

func flattened(v any, depth int) any {
	switch v := v.(type) {
	case []any:
		if depth == 0 {
			return jsonText(v)
		}
		for i := range v {
			v[i] = flattened(v[i], depth-1)
		}
	case map[string]any:
		if depth == 0 {
			return jsonText(v)
		}
		for name := range v {
			v[name] = flattened(v[name], depth-1)
		}
	}
	return v
}

// jsonText is a value's JSON as it reads best within a text: "<" stays "<".
func jsonText(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // It was decoded from JSON.
	return strings.TrimSuffix(b.String(), "\n")
}

// nesting is how many levels a JSON value nests: 0 for a text or a number.
func nesting(raw json.RawMessage) (most int) {
	level, inText := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText && c == '\\':
			i++ // The next character is escaped.
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			level++
			most = max(most, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return most
}
