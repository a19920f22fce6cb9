package mapping

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// Errors of [Parse]; the sender must change what it sends.
var (
	// ErrNoAlerts means that the payload is not JSON that holds alerts.
	ErrNoAlerts = errors.New("no Prometheus alerts in it")
	// ErrTooMany means more elements than a list may have.
	ErrTooMany = errors.New("too many elements")
)

// Notification is a decoded payload.
type Notification struct {
	Alerts []Alert
	// Truncated is the number of alerts that Alertmanager cut off because of
	// the receiver's max_alerts. They never arrive.
	Truncated uint64
}

// Alert is one alert as it was sent. An alert that cannot be decoded has only
// Raw and Problem.
type Alert struct {
	Resolved bool
	// NotFiring is the state, in the sender's word, of an alert that neither
	// fires nor has ended: silenced, pending and the like. Empty otherwise.
	NotFiring   string
	Labels      map[string]string
	Annotations map[string]string
	// StartsAt is zero when the sender gave none that could be read.
	StartsAt time.Time
	// EndsAt is zero while the alert fires.
	EndsAt time.Time
	// Start is StartsAt as the sender wrote it: it tells one occurrence from
	// the next even where it is no valid time.
	Start string
	// Raw is the alert's own JSON.
	Raw json.RawMessage
	// Problem says why the alert cannot be used; empty when it can.
	Problem string
}

// text is a JSON scalar read as text: some senders write numbers and booleans
// where Alertmanager writes strings.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	case '{', '[':
		return errors.New("an object or array where text is expected")
	case 'n':
		*t = ""
	default:
		*t = text(b)
	}
	return nil
}

// lenient is JSON that is kept only if it is text, and ignored otherwise: fields
// that are merely useful must not make an alert invalid.
type lenient string

func (l *lenient) UnmarshalJSON(b []byte) error {
	var t text
	if t.UnmarshalJSON(b) == nil {
		*l = lenient(t)
	}
	return nil
}

type envelope struct {
	Status          state           `json:"status"`
	Alerts          json.RawMessage `json:"alerts"`
	Labels          json.RawMessage `json:"labels"`
	TruncatedAlerts lenient         `json:"truncatedAlerts"`
	// Fields by which other senders' envelopes are recognized.
	TopicArn json.RawMessage `json:"TopicArn"`
	SchemaID json.RawMessage `json:"schemaId"`
	Data     json.RawMessage `json:"data"`
}

// Elements splits a JSON array. It stops with [ErrTooMany] at the element after
// the limit, before a long list of small elements takes many times its size.
func Elements(array []byte, limit int) ([]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(array))
	if t, _ := d.Token(); t != json.Delim('[') {
		return nil, errors.New("it is not a JSON array")
	}
	var all []json.RawMessage
	for d.More() {
		if len(all) == limit {
			return nil, ErrTooMany
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, fmt.Errorf("element %d: %w", len(all), err)
		}
		all = append(all, raw)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("it has no end: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after its end")
	}
	return all, nil
}

// notes are annotations: what is no text among them is left out.
type notes map[string]string

func (n *notes) UnmarshalJSON(b []byte) error {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(b, &all) // A value that is not an object has no annotations.
	if all == nil {
		return nil
	}
	*n = make(notes, len(all))
	for name, raw := range all {
		var t text
		if t.UnmarshalJSON(raw) == nil {
			(*n)[name] = string(t)
		}
	}
	return nil
}

type wireAlert struct {
	Status      state           `json:"status"`
	State       state           `json:"state"`
	Labels      map[string]text `json:"labels"`
	Annotations notes           `json:"annotations"`
	StartsAt    lenient         `json:"startsAt"`
	ActiveAt    lenient         `json:"activeAt"`
	EndsAt      lenient         `json:"endsAt"`
}

// Parse decodes a payload: an Alertmanager webhook (version 4; 3 and unknown
// fields are tolerated), the array of alerts that Prometheus posts, or one bare
// alert. at is the time of the event: an alert without a status is resolved
// when it ended by then. One undecodable alert does not fail the others; it has
// its Problem set.
func Parse(data []byte, at time.Time) (Notification, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return Notification{}, fmt.Errorf("%w: the event has no data", ErrNoAlerts)
	}
	var env envelope
	list := data
	if data[0] != '[' {
		if err := json.Unmarshal(data, &env); err != nil {
			return Notification{}, fmt.Errorf("%w: %s", ErrNoAlerts, explain(err))
		}
		list = env.Alerts
	}
	var raws []json.RawMessage
	if list != nil && string(list) != "null" {
		var err error
		switch raws, err = Elements(list, MaxAlerts); {
		case errors.Is(err, ErrTooMany):
			return Notification{}, fmt.Errorf("%w: more than %d alerts in one event; lower the receiver's max_alerts or group by more labels", err, MaxAlerts)
		case err != nil:
			return Notification{}, fmt.Errorf("%w: %w", ErrNoAlerts, err)
		}
	} else if env.Labels != nil {
		raws = []json.RawMessage{data}
	}
	if len(raws) == 0 {
		return Notification{}, fmt.Errorf("%w: %s", ErrNoAlerts, env.hint())
	}
	n := Notification{Alerts: make([]Alert, len(raws))}
	if cut, err := strconv.ParseUint(string(env.TruncatedAlerts), 10, 64); err == nil {
		n.Truncated = cut
	}
	for i, raw := range raws {
		n.Alerts[i] = parseAlert(raw, env.Status, at)
	}
	return n, nil
}

// hint says what to do with a payload that holds alerts in another way.
func (e envelope) hint() string {
	switch {
	case e.TopicArn != nil:
		return "it is an envelope of Amazon SNS; turn on raw message delivery for the subscription"
	case e.SchemaID != nil:
		return "it is Azure Monitor's common alert schema; send these alerts through an Alertmanager"
	case e.Data != nil:
		return "it is an answer of Prometheus' API; send the array that its data has as alerts"
	}
	return "neither alerts nor labels"
}

func parseAlert(raw json.RawMessage, groupStatus state, at time.Time) Alert {
	a := Alert{Raw: raw}
	// Each field has a colon, so this bounds the maps before they are made.
	if n := bytes.Count(raw, []byte{':'}); n > maxFields {
		a.Problem = fmt.Sprintf("not an alert: it has up to %d fields, more than %d", n, maxFields)
		return a
	}
	var w *wireAlert
	if err := json.Unmarshal(raw, &w); err != nil {
		a.Problem = "not an alert: " + explain(err)
		return a
	}
	if w == nil || len(w.Labels) == 0 {
		a.Problem = "not an alert: it has no labels"
		return a
	}
	a.Labels, a.Annotations = make(map[string]string, len(w.Labels)), w.Annotations
	for name, value := range w.Labels {
		a.Labels[name] = string(value)
	}
	if a.Start = string(w.StartsAt); a.Start == "" {
		a.Start = string(w.ActiveAt)
	}
	a.StartsAt, a.EndsAt = instant(a.Start), instant(string(w.EndsAt))
	a.Resolved, a.NotFiring = fires([]state{w.Status, w.State, groupStatus}, a.EndsAt, at)
	return a
}

// explain says what is wrong with JSON in the sender's terms, not in ours.
func explain(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrong):
		return err.Error()
	case wrong.Field == "":
		return "it is a JSON " + wrong.Value
	default:
		return "its " + wrong.Field + " is a JSON " + wrong.Value
	}
}

// Identity is Alertmanager's own fingerprint of the alert's label set. It is
// computed and not taken from the payload, where some senders put any text.
func (a Alert) Identity() string { return LabelsID(a.Labels) }

// FNV-1a's parameters for 64 bits.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// LabelsID is Alertmanager's fingerprint of a label set: FNV-1a 64 over the
// sorted names and values, 16 lower-case hex digits. It is computed for each
// alert twice and more; hash/fnv would copy every text.
func LabelsID(labels map[string]string) string {
	names := make([]string, 0, len(labels))
	for name := range labels {
		names = append(names, name)
	}
	slices.Sort(names)
	hash := uint64(fnvOffset)
	add := func(s string) {
		for i := range len(s) {
			hash = (hash ^ uint64(s[i])) * fnvPrime
		}
		hash = (hash ^ 0xff) * fnvPrime
	}
	for _, name := range names {
		add(name)
		add(labels[name])
	}
	return string(hex.AppendEncode(nil, binary.BigEndian.AppendUint64(nil, hash)))
}
