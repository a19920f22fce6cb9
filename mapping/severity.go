package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Severity is one of the five below, or with [SeverityRaw] a text of the alert's
// author.
type Severity string

// The severities, from worst to least known.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Unknown  Severity = "unknown"
)

var severities = []Severity{Critical, High, Medium, Low, Unknown}

// SeverityMode says what becomes of the text of an alert's severity label.
type SeverityMode string

// The severity modes.
const (
	// SeverityMapped: the text becomes one of the five severities.
	SeverityMapped SeverityMode = "map"
	// SeverityRaw: the text stays as it came. The system that reads it maps it.
	SeverityRaw SeverityMode = "raw"
)

// Rank is 0 for the worst severity, and higher the less severe one is. A raw text
// ranks as the severity that the built-in table maps it to, and below all five where
// the table does not know it.
func (s Severity) Rank() int {
	known, ok := builtin[normal(string(s))]
	if !ok {
		return len(severities)
	}
	return slices.Index(severities, known)
}

// builtin holds what 23 public rule sets write in their severity labels, the
// field's common synonyms beside them.
var builtin = table(map[Severity]string{
	Critical: "critical crit page pageteam emergency emerg fatal disaster p0 p1 sev0 sev1 s1",
	High:     "high error err major severe warning warn p2 sev2 s2",
	Medium:   "medium moderate minor notify ticket task average p3 sev3 s3",
	Low:      "low info informational information notice debug none ok p4 p5 sev4",
	Unknown:  "unknown",
})

func table(words map[Severity]string) map[string]Severity {
	out := map[string]Severity{}
	for severity, list := range words {
		for word := range strings.FieldsSeq(list) {
			out[word] = severity
		}
	}
	return out
}

// SeverityMap holds texts of the severity label, lower-case, and what they mean.
type SeverityMap map[string]Severity

// ParseSeverityMap reads "page=critical,warning=medium". Texts are trimmed and
// compared without case; the empty string gives an empty map.
func ParseSeverityMap(s string) (SeverityMap, error) {
	out := SeverityMap{}
	for pair := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		from, to, found := strings.Cut(pair, "=")
		from, to = normal(from), normal(to)
		if !found || from == "" {
			return nil, fmt.Errorf("%q is not of the form text=severity", pair)
		}
		if !slices.Contains(severities, Severity(to)) {
			return nil, fmt.Errorf("%q is not a severity: use critical, high, medium, low or unknown", to)
		}
		out[from] = Severity(to)
	}
	return out, nil
}

// String is the form that [ParseSeverityMap] reads, sorted.
func (m SeverityMap) String() string {
	pairs := make([]string, 0, len(m))
	for _, from := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, from+"="+string(m[from]))
	}
	return strings.Join(pairs, ",")
}

// severity is an alert's severity, by the text of its label.
func (r Rules) severity(label string) Severity {
	if r.Severity == SeverityRaw {
		return rawSeverity(label)
	}
	return severity(label, r.Severities)
}

// rawSeverity keeps a text as it came, within what the RemediationRequest takes:
// clean, without spaces around it, and cut at a whole character.
func rawSeverity(label string) Severity {
	text := strings.TrimSpace(clean(label))
	if text == "" {
		return Unknown
	}
	return Severity(text).within(maxSeverity)
}

// within is a severity of at most limit bytes, cut at a whole character.
func (s Severity) within(limit int) Severity {
	if len(s) <= limit {
		return s
	}
	for !utf8.RuneStart(s[limit]) {
		limit--
	}
	return Severity(strings.TrimSpace(string(s[:limit])))
}

// severity maps the text of a severity label; over goes before the built-in table.
func severity(label string, over SeverityMap) Severity {
	label = normal(label)
	if s, ok := over[label]; ok {
		return s
	}
	if s, ok := builtin[label]; ok {
		return s
	}
	return Unknown
}

func normal(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
