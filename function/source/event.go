package source

import (
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
)

// The types of the events. The number is the version of the meaning of their data, which
// is an Alertmanager webhook of version 4.
const (
	// AlertType is the type of an event with one alert.
	AlertType = "io.prometheus.alert.v1"
	// NotificationType is the type of an event with a whole webhook.
	NotificationType = "io.prometheus.alerts.v1"
)

// sourceOf is the CloudEvents source for a receiver.
func sourceOf(receiver string) string {
	if len(receiver) > maxReceiver {
		receiver = "sha256:" + digest([]byte(receiver))
	}
	return "urn:onefire:alertmanager:" + url.PathEscape(receiver)
}

// extensions are the attributes of an alert's event beyond those that every event has.
// Package config has their names, too: nobody may override one.
func extensions(a alert) map[string]string {
	return map[string]string{
		"alertname": a.name, "severity": a.severity, "namespace": a.namespace, "status": a.status, "partitionkey": a.fingerprint,
	}
}

// extensionsOfAll are those of an event with a webhook whole.
func extensionsOfAll(hook *webhook) map[string]string {
	return map[string]string{"status": hook.status}
}

// newEvent makes an event. It removes control characters, and characters that change the
// direction of text, from extensions, and leaves out empty extensions. An event that is not
// valid can be made, but not sent.
func newEvent(id, source, eventType string, at time.Time, extensions map[string]string, data []byte) event.Event {
	e := event.New()
	e.SetID(id)
	e.SetSource(source)
	e.SetType(eventType)
	e.SetTime(at)
	for name, value := range extensions {
		if value = bounded(value); value != "" {
			e.SetExtension(name, value)
		}
	}
	_ = e.SetData(event.ApplicationJSON, data) // Bytes need no encoding that could fail.
	return e
}

// bounded makes a text a valid CloudEvents string of at most maxExtension bytes.
func bounded(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	// Of a character that is cut, nothing stays.
	return strings.ToValidUTF8(s[:min(len(s), maxExtension)], "")
}
