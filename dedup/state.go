package dedup

import (
	"encoding/json"
	"time"

	"onefire/mapping"
)

// state is what events have said of whether an alert fires. Each of its times only
// ever becomes later, so it is the same in whatever order, and however often, the
// events come, and in whichever of two twins they were noted.
//
// The times of firing and resolved are those of the events, not of their handling:
// a redelivery says what the first delivery said.
type state struct {
	// firing is when an event last said that the alert fires, and resolved when
	// one last said that it has ended; zero where none did.
	firing, resolved time.Time
	// ended is when it ended, in whole seconds.
	ended time.Time
}

func (s state) merge(t state) state {
	return state{later(s.firing, t.firing), later(s.resolved, t.resolved), later(s.ended, t.ended)}
}

// over tells whether the alert has ended, as far as anybody said.
func (s state) hasEnded() bool { return !s.resolved.IsZero() && !s.firing.After(s.resolved) }

// statement is what an event says of an alert, with all of its labels.
type statement struct {
	folded
	state
}

// says is what a signal's event says of its alert.
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

// self tells an object's own alert.
func (o object) ownAlert() ownAlert {
	var labels map[string]string
	_ = json.Unmarshal([]byte(o.labels), &labels) // What is no text in it is no label.
	return ownAlert{alert{mapping.LabelsID(labels), o.alert.name, o.alert.severity}, labels}
}

// over is when the last of an object's alerts ended; zero while one of them fires,
// and where nobody can know because there were more than are named. Who made a
// foreign object may never say that its alert ended: that alert is asked for only
// if an event spoke of it.
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

// news are those of the statements that an object counts the alert of, and whose
// end it does not know yet.
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

// wire is a state as it stands on record.
func (s state) wire() wireState {
	text := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.Format(time.RFC3339Nano)
	}
	return wireState{text(s.firing), text(s.resolved), text(s.ended)}
}
