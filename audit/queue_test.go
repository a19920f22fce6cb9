package audit

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// held is a sink that posts nothing.
func held(t *testing.T) *Sink {
	t.Helper()
	s := (&store{t: t}).process()
	s.pace.used = int(s.pace.size)
	return s
}

// queued puts an item into the queue as it is.
func (s *Sink) queued(it *item) *item {
	it.id, it.done, it.waiters = uuid.New(), make(chan struct{}), 1
	if it.call == nil {
		it.call = &call{}
	}
	s.items[it.id] = it
	s.pending = append(s.pending, it)
	return it
}

// line is an item of the queue, as a test writes it.
type line struct {
	key         string
	doubt, busy bool
	finished    bool
	after       time.Duration // from now
	at          time.Duration // the event's time, from the first one's
	most, size  int
	picked      bool
}

func TestPick(t *testing.T) {
	const asked = true
	many := make([]line, maxBatch+1)
	for i := range many {
		many[i] = line{key: fmt.Sprint(i), picked: i < maxBatch}
	}
	for name, row := range map[string]struct {
		doubt bool
		queue []line
		next  time.Duration
	}{
		"nothing":              {false, nil, 0},
		"all that is sure":     {false, []line{{key: "a", picked: true}, {key: "a", picked: true}, {key: "b", picked: true, at: time.Hour}}, 0},
		"no more than a batch": {false, many, 0},
		"none behind one that waits": {false, []line{
			{key: "a", after: 2 * time.Second}, {key: "a"}, {key: "b", picked: true},
		}, 2 * time.Second},
		"none behind one that is asked for": {false, []line{{key: "a", doubt: true}, {key: "a"}, {key: "b", picked: true}}, 0},
		"none behind one that is not":       {asked, []line{{key: "a"}, {key: "a", doubt: true}, {key: "b", doubt: true, picked: true}}, 0},
		"none of a post under way":          {false, []line{{key: "a", busy: true}, {key: "b", picked: true}}, 0},
		"those of close times": {asked, []line{
			{key: "a", doubt: true, picked: true}, {key: "b", doubt: true, at: maxApart + 1}, {key: "b", doubt: true, at: 1},
			{key: "c", doubt: true, at: maxApart, picked: true}, {key: "d", doubt: true, at: -maxApart, picked: true}, {key: "e", doubt: true, at: -maxApart - 1},
		}, 0},
		"the first of those that wait": {false, []line{
			{key: "a", after: 3 * time.Second}, {key: "b", after: time.Second}, {key: "c", after: 2 * time.Second},
		}, time.Second},
		"what is finished goes":       {false, []line{{key: "a", finished: true}, {key: "a", picked: true}}, 0},
		"a bound of the first":        {false, []line{{key: "a", most: 2, picked: true}, {key: "b", picked: true}, {key: "c"}}, 0},
		"a bound of the second":       {false, []line{{key: "a", picked: true}, {key: "b", most: 2, picked: true}, {key: "c"}}, 0},
		"a bound that is reached":     {false, []line{{key: "a", picked: true}, {key: "b", picked: true}, {key: "c", most: 2}, {key: "d", picked: true}}, 0},
		"a batch as large as may be":  {false, []line{{key: "a", size: maxBatchBytes - 2, picked: true}, {key: "b", size: 1, picked: true}}, 0},
		"none that is too large":      {false, []line{{key: "a", size: maxBatchBytes - 2, picked: true}, {key: "b", size: 2}, {key: "c", size: 1, picked: true}}, 0},
		"one that is alone too large": {false, []line{{key: "a", size: maxBatchBytes + 1, picked: true}, {key: "b"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := held(t), base()
			var job, kept []*item
			for _, l := range row.queue {
				it := s.queued(&item{key: l.key, doubt: l.doubt, finished: l.finished, most: l.most, size: l.size, own: true})
				it.event = event.New()
				it.event.SetTime(base().Add(l.at))
				if l.after != 0 {
					it.after = now.Add(l.after)
				}
				if l.busy {
					s.busy[l.key] = true
				}
				switch {
				case l.picked:
					job = append(job, it)
				case !l.finished:
					kept = append(kept, it)
				}
			}
			before := s.pending
			picked, next := s.pick(now, row.doubt)
			require.Equal(t, job, picked)
			require.Equal(t, kept, append([]*item(nil), s.pending...), "they stay in their order")
			for _, it := range before[len(s.pending):] {
				require.Nil(t, it, "nothing holds what left the queue")
			}
			if row.next == 0 {
				require.Zero(t, next)
			} else {
				require.Equal(t, now.Add(row.next), next)
			}
		})
	}
}

// The memo of an event says who sent it, and whether the sink may have it.
func TestAnEventThatComesAgainIsWhatItWas(t *testing.T) {
	at := base()
	for name, row := range map[string]struct {
		known memo
		since time.Time
		own   bool
	}{
		"decided here, at a known time":     {memo{own: true}, at, true},
		"decided here, nobody knows when":   {memo{own: true}, time.Time{}, false},
		"decided elsewhere":                 {memo{}, at, false},
		"decided elsewhere, without a time": {memo{}, time.Time{}, false},
		"sent":                              {memo{own: true, doubt: true, until: at.Add(1)}, at, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := held(t), again(entries(1))[0]
			e.Since = row.since
			it, err := s.item(e)
			require.NoError(t, err)
			s.memory.left(&item{id: it.id, own: row.known.own, doubt: row.known.doubt, until: row.known.until})
			added, err := s.add(it)
			require.NoError(t, err)
			require.Equal(t, []any{row.own, row.known.doubt, row.known.until}, []any{added.own, added.doubt, added.until})
		})
	}
}

func TestTheQueueHoldsBytesUpToItsBound(t *testing.T) {
	for surplus, want := range map[int]error{0: nil, 1: errFull} {
		s, e := held(t), entries(1)[0]
		it, err := s.item(e)
		require.NoError(t, err)
		s.size = maxPendingBytes - it.size + surplus
		_, err = s.add(it)
		require.ErrorIs(t, err, want)
	}
}

// A sink that is away is not tried for the others of a call; and for nobody, if nothing has
// succeeded since the first attempt.
func TestGivingUp(t *testing.T) {
	for name, row := range map[string]struct {
		succeeded    bool // since the first attempt
		down         bool // before
		same, others bool // are finished, too
	}{
		"a sink that is away":        {false, false, true, true},
		"a sink that is away, again": {false, true, true, true},
		"a sink that is busy":        {true, false, true, false},
		"a sink that is busy, again": {true, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, ours := held(t), &call{down: row.down}
			it := &item{call: ours, first: base(), done: make(chan struct{})}
			if row.succeeded {
				s.succeeded = base().Add(1)
			}
			same, other := s.queued(&item{call: ours}), s.queued(&item{})
			s.giveUp(it, errors.New("no"))
			require.Equal(t, []bool{true, row.same, row.others}, []bool{it.finished, same.finished, other.finished})
			require.True(t, ours.down)
		})
	}
}

func TestRetry(t *testing.T) {
	away := &UnavailableError{}
	for name, row := range map[string]struct {
		change   func(s *Sink, it *item)
		err      error
		finished bool
		others   bool // of its call are finished, too
	}{
		"once more":                    {func(*Sink, *item) {}, away, false, false},
		"the last attempt":             {func(_ *Sink, it *item) { it.tries = maxAttempts }, away, true, true},
		"one before it":                {func(_ *Sink, it *item) { it.tries = maxAttempts - 1 }, away, false, false},
		"nobody can put it right soon": {func(*Sink, *item) {}, &UnavailableError{Permanent: true}, true, true},
		"it took too long":             {func(_ *Sink, it *item) { it.first = time.Now().Add(-maxElapsed - 1) }, away, true, true},
		"it takes too long": {func(s *Sink, it *item) {
			it.first = time.Now().Add(-maxElapsed + time.Second)
			s.pace.until = time.Now().Add(2 * time.Second)
		}, away, true, true},
		"its caller does not wait so long": {func(s *Sink, it *item) {
			it.by = time.Now().Add(time.Second)
			s.pace.until = time.Now().Add(2 * time.Second)
		}, away, true, true},
		"its caller's time is over": {func(_ *Sink, it *item) { it.by = time.Now().Add(-1) }, away, true, true},
		"nobody waits":              {func(_ *Sink, it *item) { it.waiters = 0 }, away, true, false},
		"nobody waits any more":     {func(_ *Sink, it *item) { it.waiters, it.tries = 0, maxAttempts }, away, true, false},
		"the process stops":         {func(s *Sink, _ *item) { s.closed = true }, away, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := held(t)
				it := s.queued(&item{first: time.Now(), by: time.Now().Add(time.Minute)})
				other := s.queued(&item{call: it.call})
				s.pending = s.pending[1:]
				row.change(s, it)
				s.retry(it, row.err)
				require.Equal(t, []bool{row.finished, row.others}, []bool{it.finished, other.finished})
				require.ErrorIs(t, it.last, row.err)
				if row.finished {
					require.ErrorIs(t, it.err, row.err)
				} else {
					require.Equal(t, []*item{it, other}, s.pending)
				}
			})
		})
	}
}

// Those who do not wait so long learn at once what the sink said last, or how long it is away.
func TestWhoDoesNotWaitSoLongIsTold(t *testing.T) {
	s, until := held(t), base().Add(time.Minute)
	said := errors.New("busy")
	waits := s.queued(&item{by: until})
	first, second := s.queued(&item{by: until.Add(-1), last: said}), s.queued(&item{by: until.Add(-1)})
	s.refuseBefore(until)
	require.False(t, waits.finished)
	require.ErrorIs(t, first.err, said)
	require.EqualError(t, second.err, "the audit sink is not available until 2026-01-02T03:05:05Z")
}

// The earliest of the times counts, and no other is kept.
func TestWaking(t *testing.T) {
	for name, order := range map[string][]time.Duration{
		"the earlier one first": {time.Second, 5 * time.Second},
		"the later one first":   {5 * time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, begun := (&store{t: t}).process(), time.Now()
				waking := func() time.Time {
					synctest.Wait()
					s.mu.Lock()
					defer s.mu.Unlock()
					return s.waking
				}
				for _, after := range order {
					s.mu.Lock()
					s.wakeAt(begun.Add(after))
					s.mu.Unlock()
				}
				require.Equal(t, begun.Add(time.Second), waking())
				pass(time.Second)
				require.Zero(t, waking())
				s.mu.Lock()
				s.wakeAt(begun.Add(10 * time.Second))
				s.mu.Unlock()
				pass(5 * time.Second)
				require.Equal(t, begun.Add(10*time.Second), waking())
			})
		})
	}
}

func TestAClosedSinkIsNotWoken(t *testing.T) {
	s := (&store{t: t}).process()
	s.Close()
	s.pace.until = time.Now().Add(time.Hour)
	s.dispatch()
	require.Zero(t, s.waking)
}
