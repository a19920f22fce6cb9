package datastorage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// single stores one event.
func (s *Server) single(w http.ResponseWriter, r *http.Request, body []byte, fault Fault) {
	ctx, cancel := context.WithTimeout(r.Context(), s.options.WriteTimeout)
	defer cancel()
	var q request
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&q); err != nil {
		s.reject(err)
		problem(w, http.StatusBadRequest, "invalid_request", "Invalid Request", "The request body could not be parsed as valid JSON")
		return
	}
	e, err := s.check.newRow(ctx, q)
	if err != nil {
		s.reject(err)
		problem(w, http.StatusBadRequest, "validation-error", "Validation Error", refusal(err))
		return
	}
	e.source, e.id = r.Header.Get("Ce-Source"), r.Header.Get("Ce-Id")
	if _, err := s.parents(ctx, []*row{e}); err != nil {
		s.reject(err)
		problem(w, http.StatusBadRequest, "validation-error", "Validation Error", "parent event does not exist")
		return
	}
	if err := fault.write(func() error { return s.write(ctx, []*row{e}) }); err != nil {
		if s.queue.add(e) != nil {
			problem(w, http.StatusInternalServerError, "database_error", "Database Error",
				"Failed to write audit event to database and DLQ")
			return
		}
		reply(w, http.StatusAccepted, accepted{Status: "accepted", Message: "audit event queued for async processing"})
		return
	}
	if fault.DropAnswer {
		hangUp()
	}
	reply(w, http.StatusCreated, created{
		EventID: e.EventID, Timestamp: e.Timestamp.Format(time.RFC3339), Message: "Audit event created successfully",
	})
}

// batch stores all events of an array, or queues each.
func (s *Server) batch(w http.ResponseWriter, r *http.Request, body []byte, fault Fault) {
	ctx, cancel := context.WithTimeout(r.Context(), s.options.BatchTimeout)
	defer cancel()
	events, ok := s.batchRows(ctx, w, body)
	if !ok {
		return
	}
	for _, e := range events {
		e.source, e.id = r.Header.Get("Ce-Source"), r.Header.Get("Ce-Id")
	}
	if err := fault.write(func() error { return s.write(ctx, events) }); err != nil {
		s.queueAll(w, events)
		return
	}
	if fault.DropAnswer {
		hangUp()
	}
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.EventID
	}
	reply(w, http.StatusCreated, batchCreated{ids, fmt.Sprintf("%d audit events created successfully", len(ids))})
}

// batchRows makes rows of a batch, or answers why that cannot be.
func (s *Server) batchRows(ctx context.Context, w http.ResponseWriter, body []byte) (events []*row, ok bool) {
	refuse := func(kind, title, detail string, reason error) ([]*row, bool) {
		s.reject(reason)
		problem(w, http.StatusBadRequest, kind, title, detail)
		return nil, false
	}
	var all []request
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&all); err != nil {
		return refuse("invalid_request", "Invalid Request", "The request body must be a valid JSON array of audit event objects", err)
	}
	if len(all) == 0 {
		return refuse("validation-error", "Validation Error", "batch cannot be empty", errors.New("the batch is empty"))
	}
	if len(all) > maxBatch {
		detail := fmt.Sprintf("batch size %d exceeds maximum allowed batch size of %d", len(all), maxBatch)
		return refuse("batch-size-exceeded", "Batch Size Exceeded", detail, errors.New(detail))
	}
	for i, q := range all {
		e, err := s.check.newRow(ctx, q)
		if err != nil {
			detail := fmt.Sprintf("event at index %d failed validation", i)
			if errors.Is(err, errDataLimits) {
				detail = fmt.Sprintf("event at index %d: %s", i, errDataLimits)
			}
			return refuse("validation-error", "Validation Error", detail, fmt.Errorf("event %d: %w", i, err))
		}
		events = append(events, e)
	}
	if i, err := s.parents(ctx, events); err != nil {
		return refuse("validation-error", "Validation Error", fmt.Sprintf("event at index %d: parent event does not exist", i), err)
	}
	return events, true
}

// queueAll queues each event of a batch that could not be stored.
func (s *Server) queueAll(w http.ResponseWriter, events []*row) {
	lost := 0
	for _, e := range events {
		if s.queue.add(e) != nil {
			lost++
		}
	}
	kept := len(events) - lost
	if lost > 0 {
		problem(w, http.StatusInternalServerError, "database-error", "Database Error",
			fmt.Sprintf("Batch write failed; %d of %d events queued to DLQ, %d lost", kept, len(events), lost))
		return
	}
	reply(w, http.StatusAccepted, accepted{
		Status: "accepted", Message: fmt.Sprintf("%d audit events queued for async processing via DLQ", kept), Count: kept,
	})
}

// refusal is what the real server tells of a reason for a 400.
func refusal(err error) string {
	if errors.Is(err, errDataLimits) {
		return errDataLimits.Error()
	}
	return "audit event request failed validation"
}

// write stores events in one transaction, once the table can be used.
func (s *Server) write(ctx context.Context, events []*row) error {
	if err := s.table.wait(ctx, true, s.options.LockTimeout); err != nil {
		return err
	}
	if err := s.table.work(ctx, len(events)); err != nil {
		return err
	}
	return s.store.add(ctx, events)
}

// parents checks that the parents of events exist, and notes their dates.
// The index is that of the first whose parent does not.
func (s *Server) parents(ctx context.Context, events []*row) (index int, err error) {
	for i, e := range events {
		if e.ParentEventID == nil {
			continue
		}
		if err := s.table.wait(ctx, false, s.options.LockTimeout); err != nil {
			return i, err
		}
		date, err := s.store.date(*e.ParentEventID)
		if err != nil {
			return i, err
		}
		e.ParentEventDate = &date
	}
	return 0, nil
}
