package dedup

import (
	"encoding/json"
	"time"

	"onefire/mapping"
)

// state is what events have said about whether an alert fires. Each of its times only
// becomes later. So the result does not depend on the order or number of the events, or
// on which of two duplicates noted them.
//
// firing and resolved are times of events, not of their handling: a redelivery has the
// time of its first delivery.
type state struct {
	// firing is when an event last said that the alert fires, resolved when one last said
	// that it has ended; zero if none did.
	firing, resolved time.Time
	// ended is when the alert ended, in whole seconds.
	ended time.Time
}

func (s state) merge(t state) state {
	return state{later(s.firing, t.firing), later(s.resolved, t.resolved), later(s.ended, t.ended)}
}

// hasEnded tells whether the alert has ended, as far as events said.
func (s state) hasEnded() bool { return !s.resolved.IsZero() && !s.firing.After(s.resolved) }

// statement is what an event says of an alert, with all of its labels.
type statement struct {
	folded
	state
}

// statementOf returns what a signal's event says of its alert.
func statementOf(s mapping.Signal) statement {
	said := statement{folded: folded{alert: alert{s.AlertID, s.Name, s.Severity}, labels: s.Labels}}
	at := s.SaidAt.Round(0).UTC()
	if s.EndedAt.IsZero() {
		said.firing = at
	} else {
		said.resolved, said.ended = at, s.EndedAt.UTC().Truncate(time.Second)
	}
	return said
}

// ownAlert returns the alert that made the object.
func (o object) ownAlert() ownAlert {
	var labels map[string]string
	_ = json.Unmarshal([]byte(o.labels), &labels) // A value that is not a string is not a label.
	return ownAlert{alert{mapping.LabelsID(labels), o.alert.name, o.alert.severity}, labels}
}

// resolvedAt is when the last of an object's alerts ended. It is zero while one of them
// fires, and if the object counts more alerts than it names. A foreign object's own alert
// counts only if an event has mentioned it, because its maker may never report an end.
func (f folds) resolvedAt(own string, ours bool) time.Time {
	s, known := f.states[own]
	if f.omitted || (ours || known) && !s.hasEnded() {
		return time.Time{}
	}
	last := s.ended
	for _, a := range f.others {
		s := f.states[a.id]
		if a.id == "" || !s.hasEnded() {
			return time.Time{}
		}
		last = later(last, s.ended)
	}
	return last
}

// unrecordedEnds returns the statements that end an alert which the object counts, and
// whose end it does not have on record. noted tells the same for each statement.
func (o object) unrecordedEnds(own ownAlert, said []statement) (news []statement, noted []bool) {
	noted = make([]bool, len(said))
	for i, s := range said {
		if s.id == own.id || o.named(s.id) {
			known := o.states[s.id]
			if s.id == own.id {
				known.firing = later(known.firing, o.firing)
			}
			if after := known.merge(s.state); after.hasEnded() && after != known {
				news, noted[i] = append(news, s), true
			}
		}
	}
	return news, noted
}

func (o object) named(id string) bool {
	for _, a := range o.others {
		if a.id == id {
			return true
		}
	}
	return false
}

// wire is a state in the form of the record.
func (s state) wire() wireState {
	text := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.Format(time.RFC3339Nano)
	}
	return wireState{text(s.firing), text(s.resolved), text(s.ended)}
}
