package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

var (
	// errTooMany means that a window of time holds more rows than are read.
	errTooMany = errors.New("too many audit events of the same time")
	// errLarge means that a page has more than maxPage bytes.
	errLarge = errors.New("the answer is too large")
)

// question is which of some events DataStorage has, and what is found so far.
type question struct {
	s     *Sink
	found map[uuid.UUID]bool
	// unread are the events whose rows were not all read, and why.
	unread map[uuid.UUID]error
}

// ask asks DataStorage which of the items it has. It reads the rows of their times and
// looks for their ids.
func (s *Sink) ask(items []*item) question {
	q := question{s, map[uuid.UUID]bool{}, map[uuid.UUID]error{}}
	q.read(items)
	return q
}

// read reads the rows of the times of items. Where there are too many it asks for fewer at
// once: for half of the time, and for one RemediationRequest in the end. If it cannot read
// some of them, its answers about the others hold.
func (q *question) read(items []*item) {
	names := correlations(items)
	err := q.window(items, names)
	if !errors.Is(err, errTooMany) {
		q.failed(items, err)
		return
	}
	since, until := times(items)
	if until.Sub(since) < time.Second {
		for _, name := range names {
			those := slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return it.correlation != name })
			q.failed(those, q.window(those, []string{name}))
		}
		return
	}
	half := since.Add(until.Sub(since) / 2)
	q.read(slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return it.event.Time().After(half) }))
	q.read(slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return !it.event.Time().After(half) }))
}

// times are the earliest and the latest time of items.
func times(items []*item) (since, until time.Time) {
	since, until = items[0].event.Time(), items[0].event.Time()
	for _, it := range items {
		if t := it.event.Time(); t.Before(since) {
			since = t
		} else if t.After(until) {
			until = t
		}
	}
	return since, until
}

// failed notes that the rows of items were not read, if so.
func (q *question) failed(items []*item, err error) {
	if err == nil {
		return
	}
	for _, it := range items {
		q.unread[it.id] = err
	}
}

// correlations are the distinct correlation ids of items.
func correlations(items []*item) []string {
	var names []string
	for _, it := range items {
		names = append(names, it.correlation)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// window reads the rows of the times of items, page by page, until all are found
// or no rows are left.
func (q *question) window(items []*item, correlations []string) error {
	since, until := times(items)
	query := url.Values{
		"event_category": {"gateway"},
		"since":          {since.UTC().Format(time.RFC3339Nano)},
		"until":          {until.UTC().Format(time.RFC3339Nano)},
	}
	if len(correlations) == 1 && correlations[0] != "" {
		query.Set("correlation_id", correlations[0])
	}
	rows := pageRows
	for offset := 0; offset < maxRows; {
		query.Set("limit", strconv.Itoa(rows))
		query.Set("offset", strconv.Itoa(offset))
		n, err := q.page(query)
		if errors.Is(err, errLarge) && rows > smallRows {
			rows /= 10
			continue
		}
		if err != nil {
			return err
		}
		if n < rows || !slices.ContainsFunc(items, func(it *item) bool { return !q.found[it.id] }) {
			return nil
		}
		offset += n
	}
	return errTooMany
}

// page reads one page of rows and returns their number.
func (q *question) page(query url.Values) (n int, err error) {
	status, err := q.s.exchange(askTimeout, get(q.s.url, query), func(body io.Reader) error {
		n, err = q.rows(&io.LimitedReader{R: body, N: maxPage})
		return err
	})
	var refused *RefusedError
	switch {
	case errors.As(err, &refused): // The query, and not an event.
		err = &UnavailableError{By: sinkName, Status: status, err: fmt.Errorf("%d to a query: %s", status, refused.Answer), pause: -1}
	case err == nil && status != http.StatusOK:
		err = &UnavailableError{By: sinkName, Status: status, err: fmt.Errorf("%d to a query", status), pause: -1}
	}
	return n, err
}

// get is a query of what DataStorage has.
func get(address string, query url.Values) Request {
	return func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, fmt.Errorf("making a query: %w", err)
		}
		merged := req.URL.Query()
		for name, values := range query {
			merged[name] = values
		}
		req.URL.RawQuery = merged.Encode()
		return req, nil
	}
}

// row is what is read of a row.
type row struct {
	Data struct {
		Annotations struct {
			// The entry is the caller's: see [Event.Again].
			ID string `json:"onefire/audit-id"`
		} `json:"signal_annotations"`
	} `json:"event_data"`
}

// rows reads the rows of an answer one by one: a page of them may be large.
func (q *question) rows(body *io.LimitedReader) (n int, err error) {
	defer func() {
		if err != nil && body.N <= 0 {
			err = errLarge
		}
	}()
	d := json.NewDecoder(body)
	if t, err := d.Token(); err != nil {
		return 0, fmt.Errorf("reading the answer to a query: %w", err)
	} else if t != json.Delim('{') {
		return 0, errNoRows
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return n, fmt.Errorf("reading the answer to a query: %w", err)
		}
		if name != "data" {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return n, fmt.Errorf("reading the answer to a query: %w", err)
			}
			continue
		}
		return q.array(d)
	}
	return 0, errNoRows
}

// errNoRows means that an answer is not that of a DataStorage.
var errNoRows = errors.New("the answer to a query has no rows")

func (q *question) array(d *json.Decoder) (n int, err error) {
	switch t, err := d.Token(); {
	case err != nil:
		return 0, fmt.Errorf("reading the answer to a query: %w", err)
	case t == nil: // null is no rows.
		return 0, nil
	case t != json.Delim('['):
		return 0, errNoRows
	}
	for ; d.More(); n++ {
		var r row
		if err := d.Decode(&r); err != nil {
			var other *json.UnmarshalTypeError
			if !errors.As(err, &other) {
				return n, fmt.Errorf("reading a row: %w", err)
			}
			continue // Somebody else's, of another form.
		}
		if id, err := uuid.Parse(r.Data.Annotations.ID); err == nil {
			q.found[id] = true
		}
	}
	if _, err := d.Token(); err != nil {
		return n, fmt.Errorf("reading the answer to a query: %w", err)
	}
	return n, nil
}
