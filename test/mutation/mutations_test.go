package mutation

// mutation is one way to break the protocol.
type mutation struct {
	edits []edit
	// in names a scenario of the exploration that notices it: it is tried before all of
	// them, which saves minutes.
	in string
	// kept names the schedule of dedup's kept ones that is there because of it.
	kept string
	// unexplored is set where only that schedule notices: the exploration asks
	// for nothing that would be the same for all schedules.
	unexplored bool
	// by is the test that notices where time decides, of which schedules know nothing.
	by string
}

// edit replaces text that stands once in a file of the package.
type edit struct{ file, from, to string }

var mutations = map[string]mutation{
	// Names, and who was first.
	"a handler lists once and decides on that for ever": {in: "completion for review", edits: []edit{
		{"handler.go", "	objects, now, err := h.list(ctx)\n	for tries", "	objects, now, err := h.first, h.now, error(nil)\n	if objects == nil {\n		objects, now, err = h.list(ctx)\n		h.first = objects\n	}\n	for tries"},
		{"handler.go", "	takenNames map[string]bool\n", "	takenNames map[string]bool\n	first []object\n"},
	}},
	"each event has a name of its own": {in: "a policy that takes annotations off", edits: []edit{
		{"create.go", "newRequest(v.name, v.object", "newRequest(v.name+v.missing[0], v.object"},
	}},
	"AlreadyExists is taken for success": {in: "completion for review", kept: "AlreadyExists is no success", edits: []edit{
		{"create.go", "		return h.nameTaken(ctx, v.name)\n", "		h.done[key] = Outcome{Reason: v.reason, Name: v.name, Count: 1}\n			return nil\n"},
	}},
	"the predecessor is the newest by creation time": {in: "completion for review", kept: "recurrences of one second", edits: []edit{
		{"object.go", "		if !ok {\n			return last\n", "		if !ok || next.name != \"\" {\n			return last\n"},
	}},
	"the predecessor is the last by name": {in: "a review after a gap", kept: "a wish for quiet after a gap", edits: []edit{
		{"object.go", "	last = slices.MaxFunc(past, byAge)\n", "	last = slices.MaxFunc(past, func(a, b object) int { return cmp.Compare(a.name, b.name) })\n"},
	}},
	"a name that another fingerprint holds is taken for ours": {in: "a hash collision", edits: []edit{
		{"create.go", "	if err == nil && o.fingerprint != h.signal.Fingerprint {\n", "	if o.fingerprint != h.signal.Fingerprint && err == nil {\n		h.objects = []object{o}\n	} else if err == nil {\n"},
	}},
	"a name that another fingerprint holds is tried for ever": {in: "a hash collision", edits: []edit{
		{"create.go", "		h.takenNames[name] = true\n", "		h.takenNames[name] = false\n"},
	}},

	"a salt outlives the name that it was for": {in: "a hash collision and completion", kept: "a hash collision in an older past", edits: []edit{
		{"object.go", "	for salt := 1; held[next]; salt++ {\n		next = name(fingerprint, last.uid, listed, salt)\n	}\n", "	next = name(fingerprint, last.uid, listed, len(held))\n"},
	}},

	// Conditions of a new object.
	"a terminal object is counted on": {in: "completion for review", kept: "the holder of the name is terminal", edits: []edit{
		{"object.go", "return o.deleting || terminalPhases[o.phase] }", "return o.deleting }"},
	}},
	"an object that is being deleted is active": {in: "finalizers, and a user deletes", edits: []edit{
		{"object.go", "return o.deleting || terminalPhases[o.phase] }", "return terminalPhases[o.phase] }"},
	}},
	"an object without a phase is terminal": {in: "completion for review", edits: []edit{
		{"object.go", "return o.deleting || terminalPhases[o.phase] }", "return o.deleting || o.phase == \"\" || terminalPhases[o.phase] }"},
	}},
	"a wish for quiet is not heard": {in: "completion for review", edits: []edit{
		{"decide.go", "	if reason, ok := before.quiet(p.now); ok {", "	if reason, ok := before.quiet(p.now); ok && p.keys == nil {"},
	}},
	"any terminal object may ask for quiet": {in: "a review before the last", kept: "an old wish for quiet", edits: []edit{
		{"decide.go", "	if reason, ok := before.quiet(p.now); ok {", "	for _, o := range terminal {\n		if reason, ok := o.quiet(p.now); ok {\n			return verdict{action: count, reason: reason, object: o, missing: missing}\n		}\n	}\n	if reason, ok := before.quiet(p.now); ok {"},
	}},
	"what is being deleted may ask for quiet": {in: "finalizers and a review", edits: []edit{
		{"object.go", "	case o.deleting:\n		return 0, false\n", ""},
	}},
	"a back-off never ends": {in: "a back-off that ends", edits: []edit{
		{"object.go", "	case o.nextAllowed.After(now):", "	case o.nextAllowed.After(now.AddDate(-1, 0, 0)):"},
	}},
	"a back-off is not heard": {in: "a back-off that ends", edits: []edit{
		{"object.go", "	case o.nextAllowed.After(now):", "	case o.nextAllowed.After(now.AddDate(1, 0, 0)):"},
	}},
	"a foreign object makes no duplicates": {in: "an end while an object is foreign", edits: []edit{
		{"decide.go", "	if len(active) > 0 {", "	if len(active) > 0 && slices.MinFunc(active, byAge).ours {"},
	}},
	"a resolved alert makes an object": {in: "a resolved alert alone", edits: []edit{
		{"resolve.go", "			return e.finish(active), nil\n		}\n		past,", "			_, err := c.api.create(ctx, h.signal.Namespace, newRequest(name(h.signal.Fingerprint, \"\", h.now, 0), \"\", h.signal, c.signalType, \"resolved\", h.now))\n			return e.finish(active), err\n		}\n		past,"},
	}},

	// Counting.
	"the counted key is not recorded": {in: "completion for review", kept: "a count that crashes", edits: []edit{
		{"patch.go", "	changed.events = o.kept(made, patchesKept*len(made))\n", ""},
	}},
	"the key that made an object is not recorded": {in: "the same event", edits: []edit{
		{"request.go", "map[string]string{eventAnnotation: key}", "map[string]string{\"key\": key}"},
	}},
	"the count has no precondition": {in: "first alerts", edits: []edit{
		{"patch.go", "\"metadata\": map[string]any{\"resourceVersion\": o.resourceVersion},", "\"metadata\": map[string]any{},"},
	}},
	"an alert is acknowledged before its patch": {in: "completion for review", edits: []edit{
		{"handler.go", "	if !ok {\n		return err\n	}\n	changed", "	if err != nil {\n		return err\n	}\n	_ = ok\n	changed"},
	}},
	"a terminal object's record does not count": {in: "completion for review", edits: []edit{
		{"decide.go", "		if m, has := o.events[key]; has && (", "		if m, has := o.events[key]; has && !o.terminal() && ("},
	}},
	"an object that is gone is an error": {in: "completion for review", edits: []edit{
		{"handler.go", "return apierrors.IsConflict(err) || apierrors.IsNotFound(err) }", "return apierrors.IsConflict(err) }"},
	}},
	"a holder of the name that is gone is an error": {in: "a hash collision, and a user deletes", edits: []edit{
		{"create.go", "	if err != nil && !apierrors.IsNotFound(err) {\n", "	if err != nil {\n"},
	}},

	// The alerts that are folded into an object.
	"a key is taken for another alert's": {in: "alerts of more kinds than an object names", edits: []edit{
		{"handler.go", "	if s, ok := h.signals[key]; ok {\n", "	if s, ok := h.signals[key]; ok && h.created == \"-\" {\n"},
	}},
	"an alert is counted and not named": {in: "completion for review", edits: []edit{
		{"record.go", "		lines = append(lines, \"alert \"+jsonText(a.wire()))\n", "		_ = a\n"},
	}},
	"the list of alerts is replaced, not added to": {in: "first alerts", edits: []edit{
		{"fold.go", "	f := folds{others: slices.Clone(o.others), ", "	f := folds{"},
	}},
	"an alert that comes again is named again": {in: "completion for review", edits: []edit{
		{"fold.go", "return a.same(b.alert) }); i >= 0 {", "return a.same(b.alert) }); i >= MaxAlerts {"},
	}},
	"an object names its own alert too": {in: "an alert that ends and fires again", edits: []edit{
		{"fold.go", "			s.firing = later(s.firing, o.firing)\n", "			s.firing = later(s.firing, o.firing)\n			f.add(s.folded)\n"},
	}},
	"an alert is told from others by its name and severity": {in: "two containers, and one of them ends", edits: []edit{
		{"fold.go", "		if s.id == own.id {\n", "		if s.name == own.name && s.severity == own.severity {\n"},
	}},
	"an alert is told from others by its name": {in: "first alerts", edits: []edit{
		{"fold.go", "		if s.id == own.id {\n", "		if s.name == own.name {\n"},
	}},
	"an object does not say in what an alert differs": {in: "two containers, and one of them ends", edits: []edit{
		{"fold.go", "			s.labels = differences(own.labels, s.labels)\n", "			s.labels = nil\n"},
	}},
	"a full list keeps the least severe": {in: "alerts of more kinds than an object names", edits: []edit{
		{"fold.go", "cmp.Compare(a.severity.Rank(), b.severity.Rank()), a.first", "cmp.Compare(b.severity.Rank(), a.severity.Rank()), a.first"},
	}},
	"a full list does not say so": {in: "alerts of more kinds than an object names", edits: []edit{
		{"fold.go", "		deduplication[\"alertsOmitted\"] = true\n", ""},
	}},
	"the list of alerts has no end": {in: "alerts of more kinds than an object names", edits: []edit{
		{"fold.go", "	if len(f.others) > MaxAlerts {\n", "	if len(f.others) > 2*MaxAlerts {\n"},
	}},
	"a duplicate's own alert goes with it": {in: "completion for review", edits: []edit{
		{"fold.go", "o.fold(o.ownAlert(), duplicate.counted()...)", "o.fold(o.ownAlert(), duplicate.counted()[1:]...)"},
	}},
	"the alerts that were folded into a duplicate go with it": {in: "a foreign object", edits: []edit{
		{"fold.go", "o.fold(o.ownAlert(), duplicate.counted()...)", "o.fold(o.ownAlert(), duplicate.counted()[:1]...)"},
	}},
	"what is remembered forgets the alerts": {in: "alerts that are remembered", edits: []edit{
		{"handler.go", "	changed.resourceVersion = revision\n", "	changed.resourceVersion, changed.folds = revision, v.object.folds\n"},
	}},

	// Which of them still fire.
	"one end marks the object": {in: "two alerts end, and one fires again", edits: []edit{
		{"state.go", "		if a.id == \"\" || !s.hasEnded() {\n			return time.Time{}\n		}\n", ""},
	}},
	"own alert is not asked": {in: "a CRD that is not ours", edits: []edit{
		{"state.go", "	if f.omitted || (ours || known) && !s.hasEnded() {\n", "	if _, _ = ours, known; f.omitted {\n"},
	}},
	"alerts that are omitted do not keep the object open": {in: "the end of all that an object names, of more", edits: []edit{
		{"state.go", "	if f.omitted || (ours", "	if (ours"},
	}},
	"an alert that fires again does not take the end back": {in: "an alert that ends and fires again", edits: []edit{
		{"fold.go", "		deduplication[\"lastResolvedAt\"] = nil\n", ""},
	}},
	"the order in which events come decides, not their time": {in: "an alert that ends and fires again", edits: []edit{
		{"state.go", "	return state{later(s.firing, t.firing), later(s.resolved, t.resolved), later(s.ended, t.ended)}\n", "	if t.resolved.IsZero() {\n		return state{firing: t.firing}\n	}\n	return state{s.firing, s.firing.Add(1), t.ended}\n"},
	}},
	"an end is final": {in: "an alert that ends and fires again", edits: []edit{
		{"state.go", "return !s.resolved.IsZero() && !s.firing.After(s.resolved) }", "return !s.resolved.IsZero() }"},
	}},
	"an end is the object's own whoever's it is": {in: "two alerts, and one of them ends", edits: []edit{
		{"state.go", "		if s.id == own.id || o.named(s.id) {\n", "		if s.id = own.id; s.id != \"\" {\n"},
	}},
	"who made an object is not asked when its alert was said to fire": {in: "an alert that ends and fires again", edits: []edit{
		{"request.go", "s.SaidAt.UTC().Format(", "s.FiringAt.AddDate(-1, 0, 0).Format("},
	}},
	"a count does not say that the alert fires": {in: "an alert that ends and fires again", edits: []edit{
		{"state.go", "		said.firing = at\n", ""},
	}},
	"an end is noted and does not mark the object": {in: "one that is completed at last", edits: []edit{
		{"patch.go", "	changed.folds = o.fold(own, news...)\n", "	changed.folds = o.fold(own, news...)\n	changed.lastResolved = o.lastResolved\n"},
	}},
	"a duplicate's ends go with it": {in: "an end, duplicates and a fault", edits: []edit{
		{"fold.go", "		all = append(all, statement{a, o.states[a.id]})\n", "		all = append(all, statement{a, state{firing: o.states[a.id].firing}})\n"},
		{"fold.go", "state{firing: o.firing}.merge(o.states[own.id])}}\n", "state{firing: later(o.firing, o.states[own.id].firing)}}}\n"},
	}},
	"a duplicate's own alert fires no longer": {in: "duplicates of one alert, and it ends", edits: []edit{
		{"fold.go", "state{firing: o.firing}.merge(o.states[own.id])}}\n", "o.states[own.id]}}\n"},
	}},
	"an end that a merged duplicate was told of goes with it": {in: "an end, duplicates and a fault", edits: []edit{
		{"patch.go", "		// The duplicate can have noted an end since. An end counts nothing.\n", "		changed.folds = o.folds\n"},
	}},
	"a survivor keeps its mark": {in: "duplicates of one alert, and it ends", edits: []edit{
		{"patch.go", "	changed.folds = o.absorb(duplicate)\n", "	changed.folds = o.absorb(duplicate)\n	changed.lastResolved = o.lastResolved\n"},
	}},
	"an end is noted on the oldest object only": {in: "ends beside an older object of others", edits: []edit{
		{"resolve.go", "	for _, o := range active {\n		changed,", "	for _, o := range active[:min(1, len(active))] {\n		changed,"},
	}},
	"only the first of several ends is noted": {in: "ends in one event", edits: []edit{
		{"state.go", "after.hasEnded() && after != known {", "after.hasEnded() && after != known && len(news) == 0 {"},
	}},

	// Duplicates.
	"nobody looks after a create": {in: "the same event", kept: "retention between two Lists", edits: []edit{
		{"create.go", "		h.reasons[key] = v.reason\n", "		h.reasons[key] = v.reason\n		h.done[key] = Outcome{Reason: v.reason, Name: v.name, Count: 1}\n"},
	}},
	"the look after a create is not tried again": {in: "delivered twice, and one List fails for good", kept: "a look that fails for good", edits: []edit{
		{"limits.go", "	maxReads = 4\n", "	maxReads = 1\n"},
	}},
	"only who made a duplicate merges it": {in: "completion for review", kept: "a crash before the look", edits: []edit{
		{"decide.go", "	if survivor, duplicate, ok := duplicates(active, p.created, p.now); ok {", "	if survivor, duplicate, ok := duplicates(active, p.created, p.now); ok && duplicate.uid == p.created {"},
	}},
	"a redelivery merges nothing": {in: "an end, duplicates and a fault", edits: []edit{
		{"decide.go", "	if survivor, duplicate, ok := duplicates(active, p.created, p.now); ok {", "	if survivor, duplicate, ok := duplicates(active, p.created, p.now); ok && (p.created != \"\" || slices.ContainsFunc(p.keys, func(key string) bool {\n		_, _, has := recorded(p.objects, key)\n		return !has\n	})) {"},
	}},
	"a resolved alert merges nothing": {in: "a crash for good", edits: []edit{
		{"resolve.go", "		if v.action == merge {\n			if err := h.merge(ctx, v); err", "		if v.action == merge && h.takenNames == nil {\n			if err := h.merge(ctx, v); err"},
	}},
	"a fresh object does not yield to a foreign one": {in: "a foreign object", edits: []edit{
		{"decide.go", "	if len(foreign) > 0 && duplicate.uid != \"\" {", "	if len(foreign) > 0 && duplicate.uid == \"-\" {"},
	}},
	"a duplicate goes without its record": {in: "completion for review", edits: []edit{
		{"handler.go", "	if patch := patchTo(v.object, v.object.withDuplicate(v.duplicate, h.created)); patch != nil {", "	if patch := patchTo(v.object, v.object.withDuplicate(v.duplicate, h.created)); false {"},
	}},
	"a duplicate goes before its record is merged": {in: "completion for review", edits: []edit{
		{"handler.go", "	if patch := patchTo(v.object, v.object.withDuplicate(v.duplicate, h.created)); patch != nil {", "	_ = h.api.delete(ctx, h.signal.Namespace, v.duplicate.name, v.duplicate.uid, v.duplicate.resourceVersion)\n	if patch := patchTo(v.object, v.object.withDuplicate(v.duplicate, h.created)); patch != nil {"},
	}},
	"a duplicate goes whatever has become of it": {in: "an end, duplicates and a fault", kept: "a count between merge and delete", edits: []edit{
		{"handler.go", "v.duplicate.name, v.duplicate.uid, v.duplicate.resourceVersion)", "v.duplicate.name, v.duplicate.uid, \"\")"},
	}},
	"a merge adds all that the duplicate counts": {in: "completion for review", kept: "a crash between merge and delete", edits: []edit{
		{"patch.go", "	gain := gained(o, duplicate, len(fresh))\n", "	gain := duplicate.count\n"},
		{"patch.go", "	if o.absorbed[string(duplicate.uid)] >= duplicate.count {\n", "	if o.absorbed == nil {\n"},
	}},
	"a duplicate's maker that merges it is told that it made an object": {kept: "a duplicate's own maker merges it", unexplored: true, edits: []edit{
		{"patch.go", "fresh[key].count == 1 && (duplicate.uid == own || o.ours)", "false"},
	}},
	"the survivor is who is seen first, not the oldest": {in: "completion for review", edits: []edit{
		{"decide.go", "	slices.SortFunc(ours, byAge)\n	worked", "	if ours[1].uid == created {\n		return ours[1], ours[0], true\n	}\n	worked"},
	}},
	"a handler deletes another's object for a foreign one": {in: "a foreign object", edits: []edit{
		{"decide.go", "		case !o.ours:\n", "		case !o.ours && o.name == \"\":\n"},
	}},

	// Changes of the record by others, and names that come again.
	"the record is kept where others drop it": {in: "one that does so after an end", edits: []edit{
		{"record.go", "		found = true\n", "		if found = o.displayStale; !found {\n			continue\n		}\n"},
	}},
	"the conditions of others go": {edits: []edit{
		{"record.go", "	for _, c := range o.foreign {\n", "	for _, c := range o.foreign[:0] {\n"},
	}},
	"what an earlier version recorded is not read": {in: "an object of an earlier version", edits: []edit{
		{"wire.go", "	for key, n := range d.Events {\n", "	for key, n := range map[string]int32{} {\n"},
	}},
	"what an earlier version recorded stays beside the record": {in: "an object of an earlier version", edits: []edit{
		{"patch.go", "		d[\"events\"], d[\"absorbed\"], d[\"alertStates\"] = nil, nil, nil\n", ""},
	}},
	"a mark goes with the rest of a status that is written anew": {in: "one that is completed at last", edits: []edit{
		{"record.go", "			o.lastResolved = parseTime(c.LastTransitionTime)\n", ""},
	}},
	"what people see is not written again": {in: "one that does so after an end", edits: []edit{
		{"fold.go", "	if o.displayStale || !slices.EqualFunc(", "	if !slices.EqualFunc("},
	}},
	"a count is older than its object": {edits: []edit{
		{"patch.go", "	now = later(o.createdAt, now)\n", ""},
	}},
	"a redelivery is told another time": {in: "first alerts at an edge, one delivered twice", edits: []edit{
		{"handler.go", "h.done[key] = outcome(h.reason(key, o, m.count), o, m)", "h.done[key] = outcome(h.reason(key, o, m.count), o, entryAt(m.count, h.now))"},
	}},
	"a name comes again": {in: "first alerts at an edge, and a user deletes", edits: []edit{
		{"object.go", "listed.Truncate(nameSpan).Unix()", "listed.Year()"},
	}},
	"of duplicates of one second the first by name stays": {in: "first alerts at an edge", edits: []edit{
		{"object.go", "	if a.late() != b.late() {", "	if a.late() != b.late() && a.name == b.name {"},
	}},
	"an object that was made late is trusted at once": {in: "first alerts at an edge, and a user deletes", edits: []edit{
		{"object.go", "	return o.ours && now.Before(o.createdAt.Add(lateAge)) && o.late()\n", "	return o.ours && now.IsZero()\n"},
	}},
	"it is trusted while others can be made in its second": {in: "first alerts at an edge, one delivered twice", edits: []edit{
		{"object.go", "	return o.ours && now.Before(o.createdAt.Add(lateAge)) && o.late()\n", "	return o.ours && now.Before(o.createdAt) && o.late()\n"},
	}},
	"the history takes the last one too": {in: "a history with one that asks for quiet", edits: []edit{
		{"history.go", "		return quiet || young || !o.createdAt.Before(end.createdAt)\n", "		return quiet || young || end.name == \"\"\n"},
	}},
	"the history takes what asks for quiet": {in: "a history with one that asks for quiet", edits: []edit{
		{"history.go", "		return quiet || young || !o.createdAt.Before(end.createdAt)\n", "		return quiet && o.name == \"\" || young || !o.createdAt.Before(end.createdAt)\n"},
	}},
	"the history takes what counted an event that may come again": {in: "a history of what was just counted", edits: []edit{
		{"history.go", "		return quiet || young ||", "		return quiet || young && o.name == \"\" ||"},
	}},
	"the history takes the objects of others": {in: "a history with one of others", edits: []edit{
		{"history.go", "return !o.ours || o.deleting })\n", "return o.deleting })\n"},
	}},
	"the history is one shorter than its limit": {in: "a history, retention and a foreign object", edits: []edit{
		{"history.go", "	n := max(0, len(ended)-limit)\n", "	n := max(0, len(ended)-limit+1)\n"},
	}},
	"a name's holder is all that the next decision sees": {in: "first alerts at an edge, one delivered twice", edits: []edit{
		{"create.go", "		h.refused = name\n		return nil\n", "		h.refused = name\n		o, err := h.api.get(ctx, h.signal.Namespace, name)\n		if err == nil && !o.terminal() && o.fingerprint == h.signal.Fingerprint {\n			h.objects, h.lostRound = []object{o}, false\n		}\n		return nil\n"},
	}},
	"two alerts made one object": {in: "first alerts at an edge", edits: []edit{
		{"patch.go", "(duplicate.uid == own || o.ours)", "duplicate.uid == own"},
	}},

	// The brake, and a quota.
	"a brake is taken for an outage": {in: "the brake is put on", edits: []edit{
		{"create.go", "		if errors.As(err, &paused) {\n", "		if errors.As(err, &paused) && h.takenNames == nil {\n"},
	}},
	"an alert that was held back is told that it made an object": {in: "the brake is put on", edits: []edit{
		{"create.go", "Outcome{Reason: mapping.BrakeOn, Paused: &paused.pause}", "Outcome{Reason: v.reason, Name: v.name, Count: 1}"},
	}},
	"what is on record is held back too": {in: "the brake, and what is on record", edits: []edit{
		{"create.go", "h.settleWithout(v.missing, Outcome{Reason: mapping.BrakeOn", "h.settleWithout(h.keys, Outcome{Reason: mapping.BrakeOn"},
	}},
	"a quota is taken for an outage": {in: "a quota with room for one", edits: []edit{
		{"create.go", "client.OverQuota(err); ok {\n", "client.OverQuota(err); ok && h.takenNames == nil {\n"},
	}},
	"nobody looks who used up a quota": {in: "a quota with room for one", edits: []edit{
		{"create.go", "			h.capped = &QuotaError{Quota: quota, Err: err}\n", "			h.settleWithout(v.missing, Outcome{Reason: mapping.QuotaExceeded, Capped: &QuotaError{Quota: quota, Err: err}})\n"},
	}},
	"a quota that is used up is tried for ever": {in: "a quota that is used up", edits: []edit{
		{"create.go", "	if h.capped != nil {\n", "	if h.capped != nil && h.takenNames == nil {\n"},
	}},
	"creates do not ask the brake": {by: "TestNothingIsMadeWhileTheBrakeIsOn", edits: []edit{
		{"api.go", "	if p := b.pause(r.Context()); p != nil {\n", "	if p := b.pause(r.Context()); p != nil && r.Body == nil {\n"},
	}},
	"the brake is asked before a create waits for its place": {by: "TestNothingIsMadeWhileTheBrakeIsOn", edits: []edit{
		{"api.go", "	if p := b.pause(r.Context()); p != nil {\n", "	if b == nil {\n		b = new(brake)\n	}\n	if p := b.known; p != nil {\n"},
		{"api.go", "	ctx = context.WithValue(ctx, brakeKey{}, k.brake)\n", "	if p := k.brake.pause(ctx); p != nil {\n		return \"\", &pausedError{*p}\n	}\n	ctx = context.WithValue(ctx, brakeKey{}, k.brake)\n"},
	}},
	"what was read of the brake holds for ever": {by: "TestNothingIsMadeWhileTheBrakeIsOn", edits: []edit{
		{"brake.go", "	if b.asOf.After(moment) || b.closed.Err() != nil {\n", "	if b.asOf.After(moment) || !b.asOf.IsZero() {\n"},
	}},
	"what was read of the brake is as old as its answer": {by: "TestNothingIsMadeWhileTheBrakeIsOn", edits: []edit{
		{"brake.go", "	b.asOf, b.running = g.begun, nil\n", "	b.asOf, b.running = time.Now(), nil\n"},
	}},
	"the brake is not read beside the List": {by: "TestNothingIsMadeWhileTheBrakeIsOn", edits: []edit{
		{"handler.go", "		h.brake.begin(ctx) // A create may follow.\n", ""},
	}},
	"a brake that cannot be read is let go": {by: "TestABrakeThatCannotBeRead", edits: []edit{
		{"brake.go", "	if err == nil {\n		b.known = pause\n	}\n", "	b.known = pause\n"},
	}},

	// The parts that save calls.
	"a fresh object is remembered": {in: "memory, retention and a crash before the look", edits: []edit{
		{"limits.go", "settledAge = 2 * time.Minute", "settledAge = -time.Hour"},
	}},
	"an object is remembered without its past": {in: "memory of what followed a terminal object", edits: []edit{
		{"cache.go", "e := cacheEntry{objects: slices.Clone(past), ", "e := cacheEntry{objects: []object{changed}, "},
	}},
	"a resolved alert believes what is remembered": {in: "ends that are remembered", edits: []edit{
		{"resolve.go", "			if h.fromCache {\n", "			if h.fromCache && h.takenNames == nil {\n"},
	}},
	"a batched List leaves out what others made": {in: "batched Lists beside a foreign object", edits: []edit{
		{"listbatch.go", "	if !others {\n", "	if others {\n"},
	}},
	"a batched List asks for what has no label first": {in: "a label that is taken off", edits: []edit{
		{"listbatch.go", "	var labels []string\n", "	early, _, err := a.list(ctx, namespace, selector{keys: w.keys})\n	if err != nil {\n		return listResult{err: err}, false\n	}\n	var labels []string\n"},
		{"listbatch.go", "	objects, _, err := a.list(ctx, namespace, selector{keys: w.keys})\n	if err != nil {\n		return listResult{err: err}, false\n	}\n	add(objects)\n", "	objects := early\n	add(objects)\n"},
	}},
	"of a long past no key is kept": {in: "a long past and its keys", edits: []edit{
		{"reduce.go", "		if r.keys[key] {\n			if events == nil {\n", "		if false {\n			if events == nil {\n"},
	}},
	"of a long past only the newest objects are kept": {in: "a long past", edits: []edit{
		{"reduce.go", "			if r.keys[key] {\n				return false\n", "			if r.keys[key] && r.keys == nil {\n				return false\n"},
	}},
	"a long past is remembered": {in: "a long past that is remembered", edits: []edit{
		{"cache.go", "return o.partial })", "return false })"},
	}},
	"a List is not told the keys": {in: "a long past and batched Lists", edits: []edit{
		{"protocol.go", "h.signals, h.keys = signals, keys", "h.signals = signals"},
	}},
	"a look for active objects alone is believed where its own is gone": {in: "a look for active objects alone, and completion", edits: []edit{
		{"handler.go", "	if err != nil || !slices.ContainsFunc(objects, own) {\n", "	if err != nil || len(objects) == 0 && own == nil {\n"},
	}},
	"a List after a lost round is batched": {in: "a label that was changed", edits: []edit{
		{"handler.go", "	if h.losses > 0 {\n		objects,", "	if h.losses < 0 {\n		objects,"},
	}},
}
