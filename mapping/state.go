package mapping

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// state is the state of an alert: a word, or Alertmanager's object that has one.
type state string

func (s *state) UnmarshalJSON(b []byte) error {
	var word lenient
	_ = word.UnmarshalJSON(b) // It never fails.
	if b[0] == '{' {
		var object struct {
			State lenient `json:"state"`
		}
		_ = json.Unmarshal(b, &object) // An object without a state says nothing.
		word = object.State
	}
	*s = state(strings.ToLower(strings.TrimSpace(string(word))))
	return nil
}

// states are the words for an alert's state. A word in none of the lists says
// nothing.
var states = struct{ firing, resolved, notFiring []state }{
	firing:   []state{"firing", "active", "alerting"},
	resolved: []state{"resolved"},
	// Alertmanager: silenced or inhibited, and not yet looked at. Prometheus:
	// before its "for" has passed. Grafana: all is well.
	notFiring: []state{"suppressed", "unprocessed", "pending", "inactive", "ok", "normal"},
}

// fires takes the first word that says something; the alert's own goes first,
// because a firing group carries resolved alerts too. Without any, an alert is
// resolved when it has ended.
func fires(said []state, endsAt, at time.Time) (resolved bool, notFiring string) {
	for _, s := range said {
		switch {
		case slices.Contains(states.resolved, s):
			return true, ""
		case slices.Contains(states.notFiring, s):
			return false, string(s)
		case slices.Contains(states.firing, s):
			return false, ""
		}
	}
	return !endsAt.IsZero() && !endsAt.After(at), ""
}

// ended is when a resolved alert ended, as far as an event of that time can say:
// not after the event, and not before the alert began. It is the event's time
// where the alert has no end.
func (a Alert) ended(at time.Time) time.Time {
	switch {
	case !a.Resolved:
		return time.Time{}
	case a.EndsAt.IsZero() || a.EndsAt.After(at) || a.StartsAt.After(at):
		return at
	case a.StartsAt.After(a.EndsAt):
		return a.StartsAt
	}
	return a.EndsAt
}

// EventTime is the time that an event's alerts are read with: what the event says,
// the same for each delivery. dated is false where it says nothing that a clock could
// show, and then that is now: no time, one before 1970, as senders without a clock
// have it, or one that is further ahead than clocks differ.
func EventTime(said, now time.Time) (at time.Time, dated bool) {
	if said.Unix() < 0 || said.After(now.Add(maxAhead)) {
		return now, false
	}
	return said, true
}

// goTime is how Go prints a time, as templates do that do not format it. A
// monotonic reading may follow.
const goTime = "2006-01-02 15:04:05.999999999 -0700 MST"

// instant reads RFC 3339, or what Go prints; anything else is no time, and
// neither is what RFC 3339 could not say in UTC.
func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		printed, _, _ := strings.Cut(s, " m=")
		t, _ = time.Parse(goTime, printed) // Zero of what is no time.
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
