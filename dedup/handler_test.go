//go:build !race

package dedup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"onefire/mapping"
)

// A handler is deterministic: its event and the API's answers so far decide what
// it does next. So a handler that waits for an answer is a list of answers, and
// its next call is what the real protocol does when it is given those again. A
// schedule can go on from there in several ways, and none starts over.

var (
	errInjected = errors.New("injected fault")
	errWaiting  = errors.New("no answer yet")
)

// answer is what the API, or a replica's memory, said to one call.
type answer struct {
	call string
	now  time.Time
	err  error
	// seen are the objects in it, and text is all of it that can be seen.
	seen  []object
	text  string
	entry cacheEntry
}

// fault is the answer to a call that failed on the way.
var fault = answer{err: errInjected, text: "fault"}

// progress is how far a handler has come.
type progress struct {
	// id is the same for handlers that can be told apart by nothing that they
	// do from here on.
	id      int
	event   string
	answers []answer
	// call is the next call, and make makes it; empty when the handler has ended.
	call string
	make func(*store) answer
	// outcomes and err are how it ended.
	outcomes []Outcome
	err      error
	after    map[string]transition
}

// transition is where an answer brings a handler, and what its replica remembers
// from there on, if that changes.
type transition struct {
	*progress
	remembers *cacheEntry
}

// means are those by which a handler saves calls.
type means struct {
	// Batched Lists ask by label, as for several fingerprints.
	Batched bool `json:"batched,omitempty"`
	// Blind ones do not ask for what has no label.
	Blind bool `json:"blind,omitempty"`
	// Replicas is how many processes have a cache; 0 is one without.
	Replicas int `json:"replicas,omitempty"`
	// Doubtful ones read a cached object before they patch it.
	Doubtful bool `json:"doubtful,omitempty"`
	// History is the limit of the history; 0 is none.
	History int `json:"history,omitempty"`
	// Apart makes the List after a create ask only for active objects.
	Apart bool `json:"apart,omitempty"`
}

// handlers are all progresses that were met, by what tells them apart.
type handlers map[string]*progress

// start brings a handler of an event to its first call.
func (hs handlers) start(event string, by means) *progress { return hs.reach(event, by, nil).progress }

// proceed gives a handler the answer to its call.
func (hs handlers) proceed(p *progress, by means, a answer) transition {
	next, ok := p.after[a.text]
	if !ok {
		next = hs.reach(p.event, by, append(slices.Clip(p.answers), a))
		p.after[a.text] = next
	}
	return next
}

func (hs handlers) reach(event string, by means, answers []answer) transition {
	p, remembers := rerun(event, by, answers)
	text := fmt.Sprint(by) + p.text(by)
	if known, ok := hs[text]; ok {
		if known.call != p.call {
			panic(fmt.Sprintf("what %s forgets decides between %q and %q", event, known.call, p.call))
		}
		return transition{known, remembers}
	}
	p.id = len(hs)
	hs[text] = p
	return transition{p, remembers}
}

// text is all that the rest of a handler's work depends on. One that has ended
// knows how it ended. One of a single key keeps nothing of what it saw before a
// List, but that it made an object and that names were taken.
func (p *progress) text(by means) string {
	if p.call == "" {
		return fmt.Sprint(p.event, " ended ", p.outcomes, p.err)
	}
	last := 0
	for i, a := range p.answers {
		switch {
		case a.err != nil || !strings.HasPrefix(a.call, list) || len(keysOf(p.event)) > 1:
		case a.call != list && i == last+1 && p.answers[last].call != a.call && strings.HasPrefix(p.answers[last].call, list+" "):
			// The second part of a batched List.
		default:
			last = i
		}
	}
	if by.History > 0 {
		last = 0 // A history is shortened by what a handler saw before it made an object.
	}
	var b strings.Builder
	fmt.Fprint(&b, p.event)
	lost := false
	for i, a := range p.answers {
		if i >= last || strings.HasPrefix(a.call, "create") || strings.HasPrefix(a.call, "get") {
			fmt.Fprint(&b, "\n", a.call, " ", a.text)
		}
		// After a lost round a List is not batched.
		lost = lost || by.Batched && i < last && a.err != nil
	}
	if lost {
		b.WriteString("\nlost")
	}
	return b.String()
}

// rerun runs the real protocol for as long as there are answers. It also returns
// what is remembered because of the last one.
func rerun(event string, by means, answers []answer) (*progress, *cacheEntry) {
	s := &script{answers: answers, doubts: by.Doubtful, history: by.History}
	c := core{
		api: s, lists: singleLists{s}, cache: noCache{}, signalType: "alert",
		backOff: func(context.Context, int) error { return nil }, sleep: s.sleep, shorten: s.shorten,
		clock:      func() time.Time { return epoch },
		activeOnly: func(string, int) bool { return false },
	}
	if by.Apart {
		c.activeOnly = func(_ string, ended int) bool { return ended > 0 }
	}
	if by.Batched {
		c.lists = batchedLists{s, by.Blind}
	}
	if by.Replicas > 0 {
		c.cache = s
	}
	p := &progress{event: event, answers: answers, after: map[string]transition{}}
	var outcomes []Outcome
	var err error
	keys := keysOf(event)
	if isEnd(event) {
		var signals []mapping.Signal
		for _, key := range keys {
			signals = append(signals, signalOf(key))
		}
		outcomes, err = c.resolve(context.Background(), signals)
	} else {
		outcomes, err = c.settle(context.Background(), signalOf(keys[0]), keys, signalsOf(keys))
	}
	if s.call != "" {
		p.call, p.make = s.call, s.make
	} else {
		p.outcomes, p.err = outcomes, err
	}
	return p, s.remembers
}

// singleLists and batchedLists are the ways to make a List.
type singleLists struct{ api }

func (a singleLists) list(ctx context.Context, ns, fp string, keys []string) ([]object, time.Time, error) {
	return a.api.list(ctx, ns, selector{fingerprint: fp, keys: keys})
}

type batchedLists struct {
	api
	blind bool
}

func (g batchedLists) list(ctx context.Context, ns, fp string, keys []string) ([]object, time.Time, error) {
	all, _ := listTogether(ctx, g.api, ns, listRequest{map[string]bool{fp: true}, keys}, !g.blind)
	return all.objects[fp], all.now, cmp.Or(all.err, all.errs[fp])
}

func answered(s *store, err error, objects ...object) answer {
	a := answer{seen: objects, err: err, text: string(apierrors.ReasonForError(err))}
	if paused := new(*pausedError); errors.As(err, paused) {
		a.text = "paused"
	}
	for _, o := range objects {
		a.text += s.seen[o.name].text
	}
	return a
}

// found is the answer of a call about one object.
func found(s *store, o object, err error) answer {
	if err != nil {
		return answered(s, err)
	}
	return answered(s, nil, o)
}

func (a answer) at(now time.Time) answer {
	a.now = now
	a.text += now.String()
	return a
}
