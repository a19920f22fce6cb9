package dedup

import (
	"cmp"
	"slices"
)

// pastReducer takes the objects of a List one by one. Of each fingerprint it keeps what a
// decision can depend on, so a long past needs no more memory than a short one:
//
//   - All active objects.
//   - The newest ended objects. A decision depends only on the last one: its UID, and
//     whether it asks for quiet. Creation times have a resolution of one second. So the
//     last object is found by a walk that begins at the newest and stays among the
//     objects of the same second, which are far fewer than are kept.
//   - Each ended object, however old, that has one of the keys to settle on record. A
//     redelivery then gets its first answer whatever came after it. No other key of an
//     ended object is needed.
//
// A short past is kept as it is, with all keys. Only such a past may be cached, because
// the keys of later events are not known yet.
type pastReducer struct {
	// keys are those that the callers of the List want to settle.
	keys  map[string]bool
	pasts map[string]*reducedPast
	// maxWhole is how many objects, and how many keys of ended objects, a past can have
	// before it is reduced. keepEnded is how many ended objects a reduced past keeps.
	maxWhole, keepEnded int
	// grow is asked for memory. size is the memory of the kept objects, and reserved how
	// much grow was asked for.
	grow           func(bytes int) error
	size, reserved int
}

// reducedPast is what is kept of one fingerprint's past.
type reducedPast struct {
	active, ended []object
	// count is how many objects there were, and keys how many keys the ended ones have.
	count, keys int
	long        bool
	// trimAt is at how many ended objects the oldest are dropped.
	trimAt int
}

func newPastReducer(keys []string, more func(bytes int) error) *pastReducer {
	r := &pastReducer{keys: map[string]bool{}, pasts: map[string]*reducedPast{}, maxWhole: maxPast, keepEnded: maxEnded, grow: more}
	for _, key := range keys {
		r.keys[key] = true
	}
	return r
}

func (r *pastReducer) add(o object) error {
	p := r.pasts[o.fingerprint]
	if p == nil {
		p = &reducedPast{trimAt: 2 * r.keepEnded}
		r.pasts[o.fingerprint] = p
	}
	p.count++
	if !o.terminal() {
		p.active = append(p.active, o)
		return r.reserve(o)
	}
	p.keys += len(o.events)
	if !p.long && max(p.count, p.keys) > r.maxWhole {
		p.long = true
		for i := range p.ended {
			r.size -= p.ended[i].size()
			p.ended[i] = r.withAskedKeys(p.ended[i])
			r.size += p.ended[i].size()
		}
	}
	if p.long {
		o = r.withAskedKeys(o)
	}
	o = o.withoutAlerts()
	if err := r.reserve(o); err != nil {
		return err
	}
	p.ended = append(p.ended, o)
	if p.long && len(p.ended) >= p.trimAt {
		r.trim(p)
		p.trimAt = len(p.ended) + r.keepEnded
	}
	return nil
}

// reserve adds the memory of an object.
func (r *pastReducer) reserve(o object) error {
	if r.size += o.size(); r.size <= r.reserved {
		return nil
	}
	piece := max(scanBuffer, r.size-r.reserved)
	r.reserved += piece
	return r.grow(piece)
}

// size is about how many bytes an object takes in memory.
func (o object) size() int { return 1024 + o.textSize() + 64*len(o.events) + 256*len(o.others) }

// withoutAlerts returns an ended object without the fields that only a count on it needs,
// unless it asks for quiet: on another ended object nothing is ever counted.
func (o object) withoutAlerts() object {
	if o.writable() {
		return o
	}
	o.folds, o.labels, o.foreign, o.absorbed = folds{}, "", nil, nil
	return o
}

// writable tells whether an ended object can still be changed. A change writes the whole
// record, so all of it must be kept.
func (o object) writable() bool { return !o.deleting && (o.manualReview || !o.nextAllowed.IsZero()) }

// withAskedKeys returns an ended object of a long past with only those keys that the
// callers want to settle.
func (r *pastReducer) withAskedKeys(o object) object {
	o.partial = true
	if o.writable() {
		return o
	}
	var events map[string]recordEntry
	for key, m := range o.events {
		if r.keys[key] {
			if events == nil {
				events = map[string]recordEntry{}
			}
			events[key] = m
		}
	}
	o.events = events
	return o
}

// trim drops the oldest ended objects that have none of the callers' keys.
func (r *pastReducer) trim(p *reducedPast) {
	slices.SortFunc(p.ended, func(a, b object) int { return byAge(b, a) })
	old := slices.DeleteFunc(p.ended[r.keepEnded:], func(o object) bool {
		for key := range o.events {
			if r.keys[key] {
				return false
			}
		}
		r.size -= o.size()
		return true
	})
	p.ended = p.ended[:r.keepEnded+len(old)]
}

// objects returns the objects of all fingerprints that were kept, by name.
func (r *pastReducer) objects() []object {
	var all []object
	for _, p := range r.pasts {
		if p.long && len(p.ended) > r.keepEnded {
			r.trim(p)
		}
		all = append(append(all, p.active...), p.ended...)
	}
	slices.SortFunc(all, func(a, b object) int { return cmp.Compare(a.name, b.name) })
	return all
}
