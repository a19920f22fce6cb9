package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// beyondLimits says which promise of limits.go a signal breaks, whatever alert
// it came from; nil when it keeps them all.
func beyondLimits(s Signal) error {
	return errors.Join(
		fingerprintBroken(s.Fingerprint),
		textBroken("name", s.Name, maxName),
		textBroken("target's name", s.Target.Name, maxName),
		textBroken("target's namespace", s.Target.Namespace, maxName),
		textBroken("cluster", s.Cluster, maxName),
		textBroken("namespace", s.Namespace, maxName),
		targetBroken(s.Target),
		severityBroken(s.Severity),
		mapBroken("labels", s.Labels, maxLabels, maxLabelValue),
		mapBroken("annotations", s.Annotations, maxAnnotations, maxAnnotationValue),
		payloadBroken(s.Payload),
	)
}

var sixtyFourHex = regexp.MustCompile(`^[0-9a-f]{64}$`)

func fingerprintBroken(f string) error {
	if !sixtyFourHex.MatchString(f) {
		return fmt.Errorf("fingerprint %q", f)
	}
	return nil
}

func textBroken(what, s string, limit int) error {
	switch {
	case len(s) > limit:
		return fmt.Errorf("%s has %d bytes, more than %d", what, len(s), limit)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s %q is not UTF-8", what, s)
	case strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' || r == 0x7f || strings.ContainsRune("\u061C\u200E\u200F\u202A\u202B\u202C\u202D\u202E\u2066\u2067\u2068\u2069", r)
	}):
		return fmt.Errorf("%s %q has control characters", what, s)
	}
	return nil
}

func targetBroken(t Target) error {
	if t.Kind == "" || t.Name == "" {
		return fmt.Errorf("target %+v lacks what the CRD requires", t)
	}
	if !isKind(t.Kind) || !isPathSegment(t.Name) || t.Namespace != "" && !isNamespace(t.Namespace) || t.APIVersion != "" && !isAPIVersion(t.APIVersion) {
		return fmt.Errorf("no object of Kubernetes is %+v", t)
	}
	return nil
}

func severityBroken(s Severity) error {
	if s == "" {
		return errors.New("the CRD takes no empty severity")
	}
	return textBroken("severity", string(s), maxSeverity)
}

// mapBroken counts the entry that tells of a cut beside the others: it is there
// to say that the limits were reached.
func mapBroken(what string, m map[string]string, entries, value int) error {
	size, count := 0, 0
	for k, v := range m {
		if err := errors.Join(textBroken("key of "+what, k, maxKey), textBroken("value of "+what, v, value)); err != nil {
			return err
		}
		if k != cutKey {
			size += len(k) + len(v)
			count++
		}
	}
	if count > entries || size > maxMap {
		return fmt.Errorf("%s have %d entries of %d bytes", what, count, size)
	}
	return nil
}

func payloadBroken(p json.RawMessage) error {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(p))
	d.UseNumber()
	switch err := d.Decode(&object); {
	case err != nil || object == nil || !json.Valid(p):
		return fmt.Errorf("payload %q is no JSON object: %w", p, err)
	case len(p) > maxPayload:
		return fmt.Errorf("payload has %d bytes", len(p))
	case depth(object) > maxPayloadDepth:
		return fmt.Errorf("payload has %d levels", depth(object))
	case !utf8.Valid(p):
		return fmt.Errorf("payload %q is not UTF-8", p)
	case holdsNUL(object):
		return fmt.Errorf("payload %q holds a NUL", p)
	}
	return nil
}

// depth is how many objects and arrays stand within each other.
func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			deepest = max(deepest, depth(inner))
		}
	case []any:
		for _, inner := range v {
			deepest = max(deepest, depth(inner))
		}
	default:
		return 0
	}
	return deepest + 1
}

func holdsNUL(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if strings.Contains(k, "\x00") || holdsNUL(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, holdsNUL)
	case string:
		return strings.Contains(v, "\x00")
	}
	return false
}
