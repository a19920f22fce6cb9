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
type pastReducer struct {
	// keys are those that the Lists' callers want to settle.
	keys  map[string]bool
	pasts map[string]*reducedPast
	// most is how many objects, and how many keys of theirs, a past may have and be
	// kept as it is; newest is how many ended ones are kept of a longer one.
	maxWhole, keepEnded int
	// more is asked for the memory of what is kept; bytes is what that takes now, and
	// taken how much was asked for.
	grow           func(bytes int) error
	size, reserved int
}

// remains are what is kept of a fingerprint's past.
type reducedPast struct {
	active, ended []object
	// all is how many objects there were, keys how many the ended ones have.
	count, keys int
	long        bool
	// full is how many ended ones there may be until the oldest are dropped.
	trimAt int
}

func newPastReducer(keys []string, more func(bytes int) error) *pastReducer {
	k := &pastReducer{keys: map[string]bool{}, pasts: map[string]*reducedPast{}, maxWhole: maxPast, keepEnded: maxEnded, grow: more}
	for _, key := range keys {
		k.keys[key] = true
	}
	return k
}

func (k *pastReducer) add(o object) error {
	p := k.pasts[o.fingerprint]
	if p == nil {
		p = &reducedPast{trimAt: 2 * k.keepEnded}
		k.pasts[o.fingerprint] = p
	}
	p.count++
	if !o.terminal() {
		p.active = append(p.active, o)
		return k.reserve(o)
	}
	p.keys += len(o.events)
	if !p.long && max(p.count, p.keys) > k.maxWhole {
		p.long = true
		for i := range p.ended {
			k.size -= p.ended[i].size()
			p.ended[i] = k.withAskedKeys(p.ended[i])
			k.size += p.ended[i].size()
		}
	}
	if p.long {
		o = k.withAskedKeys(o)
	}
	o = o.withoutAlerts()
	if err := k.reserve(o); err != nil {
		return err
	}
	p.ended = append(p.ended, o)
	if p.long && len(p.ended) >= p.trimAt {
		k.trim(p)
		p.trimAt = len(p.ended) + k.keepEnded
	}
	return nil
}

// weigh takes the memory for an object.
func (k *pastReducer) reserve(o object) error {
	if k.size += o.size(); k.size <= k.reserved {
		return nil
	}
	piece := max(scanBuffer, k.size-k.reserved)
	k.reserved += piece
	return k.grow(piece)
}

// weight is about how many bytes an object takes.
func (o object) size() int { return 1024 + o.textSize() + 64*len(o.events) + 256*len(o.others) }

// ended is an object without what only a count on it needs. No count is made on an
// ended object that never asks for quiet.
func (o object) withoutAlerts() object {
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
func (k *pastReducer) withAskedKeys(o object) object {
	o.partial = true
	if o.writable() {
		return o
	}
	var events map[string]recordEntry
	for key, m := range o.events {
		if k.keys[key] {
			if events == nil {
				events = map[string]recordEntry{}
			}
			events[key] = m
		}
	}
	o.events = events
	return o
}

// trim drops the oldest ended objects that have no key which somebody asks for.
func (k *pastReducer) trim(p *reducedPast) {
	slices.SortFunc(p.ended, func(a, b object) int { return byAge(b, a) })
	old := slices.DeleteFunc(p.ended[k.keepEnded:], func(o object) bool {
		for key := range o.events {
			if k.keys[key] {
				return false
			}
		}
		k.size -= o.size()
		return true
	})
	p.ended = p.ended[:k.keepEnded+len(old)]
}

// objects are what was kept of all fingerprints, by name.
func (k *pastReducer) objects() []object {
	var all []object
	for _, p := range k.pasts {
		if p.long && len(p.ended) > k.keepEnded {
			k.trim(p)
		}
		all = append(append(all, p.active...), p.ended...)
	}
	slices.SortFunc(all, func(a, b object) int { return cmp.Compare(a.name, b.name) })
	return all
}
