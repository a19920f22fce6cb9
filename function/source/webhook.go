package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"onefire/mapping"
)

// Errors of [read]. A retry of the same body fails too.
var (
	errNoWebhook = errors.New("not a webhook of Alertmanager")
	errTooLarge  = errors.New("too large")
)

// webhook is a decoded notification.
type webhook struct {
	// fields are the top-level fields as they were sent, in their order.
	fields []field
	// receiver is unquoted; groupKey is the sender's JSON.
	receiver, groupKey, status string
	// truncated is how many alerts Alertmanager left out because of the receiver's
	// max_alerts. They never arrive.
	truncated uint64
	alerts    []alert
	// begun is when the earliest alert began; it is zero if no alert says so.
	begun time.Time
}

type field struct {
	name string
	raw  json.RawMessage
}

// alert is the part of an alert that an event needs.
type alert struct {
	raw json.RawMessage
	// identity identifies the alert: Alertmanager's fingerprint, or a hash of an element
	// that is not an alert.
	identity string
	// status and start are what the function will read.
	status, start             string
	name, severity, namespace string
	fingerprint               string // empty if identity is a hash
}

// read decodes a webhook. It reads the alerts with the function's own decoder. An alert
// that is invalid is passed on unchanged, so that the function records it.
func read(body []byte, now time.Time) (*webhook, error) {
	fields, err := topLevel(body)
	if err != nil {
		return nil, err
	}
	w := &webhook{fields: fields}
	w.receiver = unquoted(w.text("receiver"))
	w.groupKey = string(w.raw("groupKey"))
	if w.status = w.text("status"); w.raw("status") == nil {
		w.fields = append(w.fields, field{name: "status"})
	}
	// It is zero if the field is not a number.
	w.truncated, _ = strconv.ParseUint(string(w.raw("truncatedAlerts")), 10, 64)
	raws, err := mapping.Elements(w.raw("alerts"), maxAlerts)
	if w.raw("alerts") == nil {
		_, err = mapping.Parse(body, now) // Its text names the sender's mistake.
	}
	switch {
	case errors.Is(err, mapping.ErrTooMany):
		return nil, fmt.Errorf("%w: more than %d alerts; lower the receiver's max_alerts or group by more labels", errTooLarge, maxAlerts)
	case err != nil:
		return nil, fmt.Errorf("%w: alerts: %w", errNoWebhook, err)
	case len(raws) == 0:
		return nil, fmt.Errorf("%w: no alerts in it", errNoWebhook)
	}
	if n := w.envelope(); n > maxEnvelope {
		return nil, fmt.Errorf("%w: %d bytes beside the alerts, more than %d", errTooLarge, n, maxEnvelope)
	}
	for _, raw := range raws {
		a, begun := readAlert(raw, w.status, now)
		w.alerts = append(w.alerts, a)
		if w.begun.IsZero() || !begun.IsZero() && begun.Before(w.begun) {
			w.begun = begun
		}
	}
	return w, nil
}

// topLevel reads the fields of a JSON object. If two fields have one name, ignoring case,
// the last one counts, as it does in the function.
func topLevel(body []byte) ([]field, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	switch t, _ := d.Token(); {
	case t == json.Delim('['):
		return nil, fmt.Errorf("%w: it is an array, which Prometheus and vmalert send; point them at an Alertmanager, and its webhook here", errNoWebhook)
	case t != json.Delim('{'):
		return nil, fmt.Errorf("%w: it is not a JSON object", errNoWebhook)
	}
	var fields []field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoWebhook, err)
		}
		f := field{name: name.(string)} // Token returns a string here, or an error.
		if err := d.Decode(&f.raw); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errNoWebhook, f.name, err)
		}
		fields = slices.DeleteFunc(fields, func(earlier field) bool { return strings.EqualFold(earlier.name, f.name) })
		if fields = append(fields, f); len(fields) > maxFields {
			return nil, fmt.Errorf("%w: more than %d fields", errNoWebhook, maxFields)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%w: it has no end: %w", errNoWebhook, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is more after its end", errNoWebhook)
	}
	return fields, nil
}

// raw is a field's JSON, or nil.
func (w *webhook) raw(name string) json.RawMessage {
	for _, f := range w.fields {
		if strings.EqualFold(f.name, name) {
			return f.raw
		}
	}
	return nil
}

// text is a field's text; it is empty if the field is not a string.
func (w *webhook) text(name string) string {
	var s string
	if json.Unmarshal(w.raw(name), &s) != nil {
		return ""
	}
	return s
}

// leftOut is truncated as a number that counters and spans take.
func (w *webhook) leftOut() int64 { return int64(min(w.truncated, 1<<32)) }

// envelope is the size of the webhook without its alerts.
func (w *webhook) envelope() int {
	n := 0
	for _, f := range w.fields {
		if n += len(f.name); !strings.EqualFold(f.name, "alerts") {
			n += len(f.raw)
		}
	}
	return n
}

// readAlert reads one alert as the function will, and returns when it began.
func readAlert(raw json.RawMessage, groupStatus string, now time.Time) (alert, time.Time) {
	one := webhook{fields: []field{{name: "status"}, {name: "alerts"}}}
	n, err := mapping.Parse(one.with(raw, groupStatus), now)
	if err != nil || n.Alerts[0].Problem != "" {
		return alert{raw: raw, identity: digest(raw), status: groupStatus}, time.Time{}
	}
	a := n.Alerts[0]
	status := "firing"
	switch {
	case a.Resolved:
		status = "resolved"
	case a.NotFiring != "":
		status = a.NotFiring
	}
	return alert{
		raw: raw, identity: a.Identity(), fingerprint: a.Identity(), status: status, start: a.Start,
		name: a.Labels["alertname"], severity: a.Labels["severity"], namespace: a.Labels["namespace"],
	}, a.StartsAt
}

// with returns the webhook with one alert and that alert's status, as Alertmanager would
// send it for a group of one alert.
func (w *webhook) with(raw json.RawMessage, status string) []byte {
	b := make([]byte, 0, w.envelope()+len(raw)+8*len(w.fields)+2)
	for i, f := range w.fields {
		b = append(b, "{,"[min(i, 1)])
		b = append(append(b, quoted(f.name)...), ':')
		switch {
		case strings.EqualFold(f.name, "alerts"):
			b = append(append(append(b, '['), raw...), ']')
		case strings.EqualFold(f.name, "status"):
			b = append(b, quoted(status)...)
		default:
			b = append(b, f.raw...)
		}
	}
	return append(b, '}')
}

// quoted is a text as JSON.
func quoted(s string) json.RawMessage {
	b, _ := json.Marshal(s) // A string can always be encoded.
	return b
}

// unquoted removes the backslashes that Alertmanager puts into a receiver's name to make
// it a regular expression.
func unquoted(receiver string) string {
	var b strings.Builder
	escaped := false
	for _, r := range receiver {
		if r == '\\' && !escaped {
			escaped = true
			continue
		}
		escaped = false
		b.WriteRune(r)
	}
	return b.String()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
