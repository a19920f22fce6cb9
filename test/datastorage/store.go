package datastorage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// The buckets of the database. All events are in one, under their ids; the other two have
// the orders in which they are asked for, with the columns that queries select by.
var (
	eventsBucket = []byte("events")
	// Keys are time and id.
	byTimeBucket = []byte("by_time")
	// Keys are correlation id, NUL, time and id.
	byCorrelationBucket = []byte("by_correlation")
)

// columns are those that a query may select by, in the order in which they are indexed.
var columns = []string{"event_type", "event_category", "event_outcome", "severity"}

// openTimeout bounds the wait for another process that has the database open.
const openTimeout = 5 * time.Second

// store keeps audit events in a file. The events that a process stored outlive the
// process, and not the machine.
type store struct{ *bbolt.DB }

// record is an event as the file has it.
type record struct {
	// Seq is the place in the order of storing.
	Seq        uint64
	Source, ID string
	Event      *row
}

func openStore(path string) (*store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: openTimeout, NoSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{eventsBucket, byTimeBucket, byCorrelationBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &store{db}, nil
}

// add stores events in one transaction. The events of a correlation id are
// linked in their order, the first of them to the newest that is stored.
func (s *store) add(ctx context.Context, events []*row) error {
	return s.change(ctx, func(tx *bbolt.Tx) error {
		last := map[string]string{}
		for _, e := range events {
			if err := e.fits(); err != nil {
				return err
			}
			previous, known := last[e.CorrelationID]
			if !known {
				for id := range selected(tx, filter{correlationID: e.CorrelationID}) {
					newest, err := get(tx, id)
					if err != nil {
						return err
					}
					previous = newest.Hash
					break
				}
			}
			if err := e.link(previous); err != nil {
				return err
			}
			last[e.CorrelationID] = e.Hash
			if err := put(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// note stores one event outside of any chain.
func (s *store) note(ctx context.Context, e *row) error {
	return s.change(ctx, func(tx *bbolt.Tx) error { return put(tx, e) })
}

// change stores all of what f puts, or nothing where it fails or its time is up.
func (s *store) change(ctx context.Context, f func(*bbolt.Tx) error) error {
	err := s.Update(func(tx *bbolt.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	return nil
}

func put(tx *bbolt.Tx, e *row) error {
	events := tx.Bucket(eventsBucket)
	seq, err := events.NextSequence()
	if err != nil {
		return err
	}
	body, err := json.Marshal(record{seq, e.source, e.id, e})
	if err != nil {
		return err
	}
	id := []byte(e.EventID)
	if err := events.Put(id, body); err != nil {
		return err
	}
	key := append(timeKey(e.Timestamp), id...)
	values := []byte(strings.Join([]string{e.EventType, e.Category, e.Outcome, e.Severity}, "\x00"))
	if err := tx.Bucket(byTimeBucket).Put(key, values); err != nil {
		return err
	}
	return tx.Bucket(byCorrelationBucket).Put(append(correlationKey(e.CorrelationID), key...), values)
}

// timeKey has the order of times, in microseconds as PostgreSQL keeps them.
func timeKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMicro())^1<<63)
}

func correlationKey(id string) []byte { return append([]byte(id), 0) }

// get reads an event.
func get(tx *bbolt.Tx, id []byte) (*row, error) {
	body := tx.Bucket(eventsBucket).Get(id)
	if body == nil {
		return nil, fmt.Errorf("there is no event %q", id)
	}
	var r record
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	r.Event.seq, r.Event.source, r.Event.id = r.Seq, r.Source, r.ID
	return r.Event, nil
}

// selected gives the ids of events that a filter selects by what is indexed, newest first.
func selected(tx *bbolt.Tx, f filter) iter.Seq[[]byte] {
	bucket, prefix := tx.Bucket(byTimeBucket), []byte(nil)
	if f.correlationID != "" {
		bucket, prefix = tx.Bucket(byCorrelationBucket), correlationKey(f.correlationID)
	}
	begin, end := slices.Clone(prefix), append(slices.Clone(prefix), bytes.Repeat([]byte{0xff}, 9)...)
	if !f.since.IsZero() {
		begin = append(begin, timeKey(f.since)...) // The driver of the real server cuts nanoseconds off.
	}
	if !f.until.IsZero() {
		end = append(append(slices.Clone(prefix), timeKey(f.until)...), 0xff)
	}
	return func(yield func([]byte) bool) {
		c := bucket.Cursor()
		key, values := c.Seek(end)
		if key == nil {
			key, values = c.Last()
		}
		for ; key != nil && bytes.Compare(key, begin) >= 0; key, values = c.Prev() {
			if bytes.Compare(key, end) < 0 && f.selects(string(values)) && !yield(key[len(prefix)+8:]) {
				return
			}
		}
	}
}

// selects tells whether the values of the indexed columns are those of the filter.
func (f filter) selects(values string) bool {
	for i, value := range strings.Split(values, "\x00") {
		if wanted := f.columns[columns[i]]; wanted != "" && wanted != value {
			return false
		}
	}
	return true
}

// text is what PostgreSQL makes of a member of a JSON object; it makes nothing of null.
func text(member any) string {
	switch member := member.(type) {
	case nil:
		return ""
	case string:
		return member
	default:
		body, _ := json.Marshal(member) // It was read from JSON.
		return string(body)
	}
}

// find returns a page of the events that a filter selects, newest first, and how
// many there are in all.
func (s *store) find(f filter, limit, offset int) (page []row, total int, err error) {
	page = []row{}
	err = s.View(func(tx *bbolt.Tx) error {
		for id := range selected(tx, f) {
			wanted := total >= offset && len(page) < limit
			if wanted || f.detailKey != "" {
				e, err := get(tx, id)
				if err != nil {
					return err
				}
				if f.detailKey != "" && text(e.Data[f.detailKey]) != f.detailValue {
					continue
				}
				if wanted {
					page = append(page, *e)
				}
			}
			total++
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("querying: %w", err)
	}
	return page, total, nil
}

// chain returns the first events of a correlation id, in the order in which they
// are verified.
func (s *store) chain(correlationID string, most int) (events []row, err error) {
	err = s.View(func(tx *bbolt.Tx) error {
		var ids [][]byte
		for id := range selected(tx, filter{correlationID: correlationID}) {
			ids = append(ids, id)
		}
		for _, id := range slices.Backward(ids) {
			e, err := get(tx, id)
			if err != nil {
				return err
			}
			if e.Hash != "" && len(events) < most {
				events = append(events, *e)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading a chain: %w", err)
	}
	return events, nil
}

// date is the day of an event.
func (s *store) date(eventID string) (day time.Time, err error) {
	err = s.View(func(tx *bbolt.Tx) error {
		e, err := get(tx, []byte(strings.ToLower(eventID)))
		if err == nil {
			day = e.Timestamp.UTC().Truncate(24 * time.Hour)
		}
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("looking for an event: %w", err)
	}
	return day, nil
}

// all returns all events, in the order in which they were stored.
func (s *store) all() (events []row, err error) {
	err = s.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(eventsBucket).ForEach(func(id, _ []byte) error {
			e, err := get(tx, id)
			if err == nil {
				events = append(events, *e)
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading all events: %w", err)
	}
	slices.SortFunc(events, func(a, b row) int { return cmp.Compare(a.seq, b.seq) })
	return events, nil
}
