//go:build !race

package dedup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// A handler is deterministic: its event and the API's answers so far decide what
// it does next. So a handler that waits for an answer is a list of answers, and
// its next call is what the real protocol does when it is given those again. A
// schedule can go on from there in several ways, and none starts over.

// resolvedAlert is the event of an alert that ended.
const resolvedAlert = "resolved"

var signal = mapping.Signal{Fingerprint: digest("fingerprint"), Namespace: "ns", Name: "A", FiringAt: epoch}

var (
	errInjected = errors.New("injected fault")
	errWaiting  = errors.New("no answer yet")
)

// answer is what the API said to one call.
type answer struct {
	call  string
	items []unstructured.Unstructured
	now   time.Time
	err   error
	// seen are the items as the protocol reads them, and text is all that it can
	// see of the answer.
	seen []object
	text string
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
	after    map[string]*progress
}

// handlers are all progresses that were met, by what tells them apart.
type handlers map[string]*progress

// start brings a handler of an event to its first call.
func (hs handlers) start(event string) *progress { return hs.reach(event, nil) }

// proceed gives a handler the answer to its call.
func (hs handlers) proceed(p *progress, a answer) *progress {
	next, ok := p.after[a.text]
	if !ok {
		next = hs.reach(p.event, append(slices.Clip(p.answers), a))
		p.after[a.text] = next
	}
	return next
}

func (hs handlers) reach(event string, answers []answer) *progress {
	p := rerun(event, answers)
	text := p.text()
	if known, ok := hs[text]; ok {
		if known.call != p.call {
			panic(fmt.Sprintf("what %s forgets decides between %q and %q", event, known.call, p.call))
		}
		return known
	}
	p.id = len(hs)
	hs[text] = p
	return p
}

// text is all that the rest of a handler's work depends on. One that has ended
// knows how it ended. One of a single key keeps nothing of what it saw before a
// List, but that it made an object and that names were taken.
func (p *progress) text() string {
	if p.call == "" {
		return fmt.Sprint(p.event, " ended ", p.outcomes, p.err)
	}
	last := 0
	for i, a := range p.answers {
		if a.call == "list" && a.err == nil && !strings.Contains(p.event, ",") {
			last = i
		}
	}
	var b strings.Builder
	fmt.Fprint(&b, p.event)
	for i, a := range p.answers {
		if i >= last || strings.HasPrefix(a.call, "create") || strings.HasPrefix(a.call, "get") {
			fmt.Fprint(&b, "\n", a.call, " ", a.text)
		}
	}
	return b.String()
}

// rerun runs the real protocol for as long as there are answers.
func rerun(event string, answers []answer) *progress {
	s := &script{answers: answers}
	d := New(s, "alert")
	d.pause = func(context.Context, int) error { return nil }
	p := &progress{event: event, answers: answers, after: map[string]*progress{}}
	var outcomes []Outcome
	var err error
	if event == resolvedAlert {
		_, err = d.Resolve(context.Background(), signal, epoch)
	} else {
		outcomes, err = d.Settle(context.Background(), signal, strings.Split(event, ","))
	}
	if s.call != "" {
		p.call, p.make = s.call, s.make
	} else {
		p.outcomes, p.err = outcomes, err
	}
	return p
}

// script is the API of a rerun. The first call without an answer is the one that
// the handler waits for; what it does after that does not count.
type script struct {
	answers []answer
	call    string
	make    func(*store) answer
}

func (s *script) answer(call string, make func(*store) answer) answer {
	if len(s.answers) > 0 {
		a := s.answers[0]
		s.answers = s.answers[1:]
		return a
	}
	if s.call == "" {
		s.call, s.make = call, make
	}
	return answer{err: errWaiting}
}

func (s *script) List(ctx context.Context, ns, fp string) ([]unstructured.Unstructured, time.Time, error) {
	a := s.answer("list", func(st *store) answer {
		items, now, err := st.List(ctx, ns, fp)
		return answered(st, err, items...).at(now)
	})
	return a.items, a.now, a.err
}

func (s *script) Get(ctx context.Context, ns, name string) (*unstructured.Unstructured, error) {
	return s.one("get "+name, func(st *store) (*unstructured.Unstructured, error) { return st.Get(ctx, ns, name) })
}

func (s *script) Create(ctx context.Context, ns string, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return s.one("create "+o.GetName(), func(st *store) (*unstructured.Unstructured, error) { return st.Create(ctx, ns, o) })
}

func (s *script) PatchStatus(ctx context.Context, ns, name string, patch map[string]any) error {
	return s.answer("patch "+name, func(st *store) answer { return answered(st, st.PatchStatus(ctx, ns, name, patch)) }).err
}

func (s *script) Delete(ctx context.Context, ns, name string, uid types.UID, rv string) error {
	return s.answer("delete "+name, func(st *store) answer { return answered(st, st.Delete(ctx, ns, name, uid, rv)) }).err
}

func (s *script) one(call string, do func(*store) (*unstructured.Unstructured, error)) (*unstructured.Unstructured, error) {
	a := s.answer(call, func(st *store) answer {
		o, err := do(st)
		if err != nil {
			return answered(st, err)
		}
		return answered(st, nil, *o)
	})
	if a.err != nil {
		return nil, a.err
	}
	return &a.items[0], nil
}

func answered(s *store, err error, items ...unstructured.Unstructured) answer {
	a := answer{items: items, err: err, text: string(apierrors.ReasonForError(err))}
	for _, o := range items {
		see := s.seen[o.GetName()]
		a.seen, a.text = append(a.seen, see.object), a.text+see.text
	}
	return a
}

func (a answer) at(now time.Time) answer {
	a.now = now
	a.text += now.String()
	return a
}
