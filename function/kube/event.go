package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/types"
)

// controller is the reporting controller of every Kubernetes Event.
const controller = "onefire"

// Type tells whether a Kubernetes Event is a warning.
type Type string

// The types of the API.
const (
	Normal  Type = "Normal"
	Warning Type = "Warning"
)

// Object is what a Kubernetes Event is on.
type Object struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Namespace  string    `json:"namespace"`
	Name       string    `json:"name"`
	UID        types.UID `json:"uid,omitempty"`
}

// Event is the content of a Kubernetes Event.
type Event struct {
	On   Object
	Type Type
	// Reason and Action are words in CamelCase: what happened, and during which action.
	Reason, Action string
	// Key distinguishes what happened from other Events with the same reason on the same
	// object; it is empty if there can be only one.
	Key string
	// Note is for people. It is made a single line that the API accepts.
	Note string
	// At is when it happened.
	At time.Time
}

// name is the same in every process that reports the same.
func (e Event) name() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", e.On, e.Type, e.Reason, e.Key))
	return e.On.Name + "." + hex.EncodeToString(sum[:8])
}

// body is the Kubernetes Event as JSON, in the form of events.k8s.io/v1.
func (e Event) body(instance string) []byte {
	body, _ := json.Marshal(map[string]any{ // Texts always have a JSON.
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
	return body
}

// oneLine makes a text a single line of at most [maxNote] bytes without control
// characters, because an alert can contain any text and a terminal would obey it.
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
	return strings.ToValidUTF8(s[:maxNote-len(end)], "") + end
}
