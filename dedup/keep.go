package dedup

import (
	"cmp"
	"slices"
)

// A keeper takes the objects of a List one by one and keeps of each fingerprint what
// a decision can depend on, so a long past needs no more memory than a short one:
//
//   - All active objects, whole.
//   - Of ended objects the newest. A decision asks for the last one only: for its UID,
//     and whether it asks for quiet. Creation times have whole seconds, so the last one
//     is found by a walk that begins at the newest; it stays among those that were made
//     in the same second, which are far fewer than are kept.
//   - Each ended object, however old, with one of the keys to settle on record. All
//     other keys of ended objects answer nobody. So a redelivery gets its first answer
//     whatever came after it.
//
// While a past is short, all of it is kept, with all keys: only such a past may be
// remembered, because the keys of a later event are not known yet.
type keeper struct {
	// keys are those that the Lists' callers want to settle.
	keys  map[string]bool
	pasts map[string]*remains
	// most is how many objects, and how many keys of theirs, a past may have and be
	// kept as it is; newest is how many ended ones are kept of a longer one.
	most, newest int
	// more is asked for the memory of what is kept; bytes is what that takes now, and
	// taken how much was asked for.
	more         func(bytes int) error
	bytes, taken int
}

// remains are what is kept of a fingerprint's past.
type remains struct {
	active, ended []object
	// all is how many objects there were, keys how many the ended ones have.
	all, keys int
	long      bool
	// full is how many ended ones there may be until the oldest are dropped.
	full int
}

func newKeeper(keys []string, more func(bytes int) error) *keeper {
	k := &keeper{keys: map[string]bool{}, pasts: map[string]*remains{}, most: maxPast, newest: maxEnded, more: more}
	for _, key := range keys {
		k.keys[key] = true
	}
	return k
}

func (k *keeper) add(o object) error {
	p := k.pasts[o.fingerprint]
	if p == nil {
		p = &remains{full: 2 * k.newest}
		k.pasts[o.fingerprint] = p
	}
	p.all++
	if !o.terminal() {
		p.active = append(p.active, o)
		return k.weigh(o)
	}
	p.keys += len(o.events)
	if !p.long && max(p.all, p.keys) > k.most {
		p.long = true
		for i := range p.ended {
			k.bytes -= p.ended[i].weight()
			p.ended[i] = k.asked(p.ended[i])
			k.bytes += p.ended[i].weight()
		}
	}
	if p.long {
		o = k.asked(o)
	}
	o = o.ended()
	if err := k.weigh(o); err != nil {
		return err
	}
	p.ended = append(p.ended, o)
	if p.long && len(p.ended) >= p.full {
		k.trim(p)
		p.full = len(p.ended) + k.newest
	}
	return nil
}

// weigh takes the memory for an object.
func (k *keeper) weigh(o object) error {
	if k.bytes += o.weight(); k.bytes <= k.taken {
		return nil
	}
	piece := max(scanWindow, k.bytes-k.taken)
	k.taken += piece
	return k.more(piece)
}

// weight is about how many bytes an object takes.
func (o object) weight() int { return 1024 + o.texts() + 64*len(o.events) + 256*len(o.others) }

// ended is an object without what only a count on it needs. No count is made on an
// ended object that never asks for quiet.
func (o object) ended() object {
	if o.writable() {
		return o
	}
	o.folds, o.labels, o.foreign, o.absorbed = folds{}, "", nil, nil
	return o
}

// writable tells that an ended object can still be changed: its record is written as
// a whole then, so none of it may be missing.
func (o object) writable() bool { return !o.deleting && (o.manualReview || !o.nextAllowed.IsZero()) }

// asked is an ended object of a long past: of its keys it has those that somebody
// wants to settle.
func (k *keeper) asked(o object) object {
	o.partial = true
	if o.writable() {
		return o
	}
	var events map[string]mark
	for key, m := range o.events {
		if k.keys[key] {
			if events == nil {
				events = map[string]mark{}
			}
			events[key] = m
		}
	}
	o.events = events
	return o
}

// trim drops the oldest ended objects that have no key which somebody asks for.
func (k *keeper) trim(p *remains) {
	slices.SortFunc(p.ended, func(a, b object) int { return byAge(b, a) })
	old := slices.DeleteFunc(p.ended[k.newest:], func(o object) bool {
		for key := range o.events {
			if k.keys[key] {
				return false
			}
		}
		k.bytes -= o.weight()
		return true
	})
	p.ended = p.ended[:k.newest+len(old)]
}

// objects are what was kept of all fingerprints, by name.
func (k *keeper) objects() []object {
	var all []object
	for _, p := range k.pasts {
		if p.long && len(p.ended) > k.newest {
			k.trim(p)
		}
		all = append(append(all, p.active...), p.ended...)
	}
	slices.SortFunc(all, func(a, b object) int { return cmp.Compare(a.name, b.name) })
	return all
}
