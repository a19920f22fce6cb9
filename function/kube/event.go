package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/types"
)

// controller is who reports, on every Event.
const controller = "onefire"

// Type says whether an Event is good news.
type Type string

// The types that the API takes.
const (
	Normal  Type = "Normal"
	Warning Type = "Warning"
)

// Object is what an Event is on.
type Object struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Namespace  string    `json:"namespace"`
	Name       string    `json:"name"`
	UID        types.UID `json:"uid,omitempty"`
}

// Event is something that happened.
type Event struct {
	On   Object
	Type Type
	// Reason and Action are words in CamelCase: what happened, and what was
	// being done.
	Reason, Action string
	// Key tells this happening from others of its reason on its object; empty
	// where there can be only one.
	Key string
	// Note is for people. It is made one line that the API takes.
	Note string
	// At is when it happened.
	At time.Time
}

// name is the same for all who tell the same.
func (e Event) name() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", e.On, e.Type, e.Reason, e.Key))
	return e.On.Name + "." + hex.EncodeToString(sum[:8])
}

// body is the Event in JSON, as events.k8s.io/v1 has it.
func (e Event) body(instance string) ([]byte, error) {
	body, err := json.Marshal(map[string]any{
		"apiVersion":          "events.k8s.io/v1",
		"kind":                "Event",
		"metadata":            map[string]string{"name": e.name(), "namespace": e.On.Namespace},
		"eventTime":           e.At.UTC().Format("2006-01-02T15:04:05.000000Z07:00"),
		"reportingController": controller,
		"reportingInstance":   instance,
		"action":              e.Action,
		"reason":              e.Reason,
		"type":                e.Type,
		"regarding":           e.On,
		"note":                e.Note,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding an Event: %w", err)
	}
	return body, nil
}

// oneLine makes a text one line of at most [maxNote] bytes: alerts can say
// anything, and a terminal would obey it.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= maxNote {
		return s
	}
	const end = "…"
	s = s[:maxNote-len(end)]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + end
}
