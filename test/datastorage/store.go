package datastorage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // The driver.
)

const schema = `
CREATE TABLE IF NOT EXISTS audit_events (
	seq            INTEGER PRIMARY KEY,
	event_id       TEXT NOT NULL UNIQUE,
	micros         INTEGER NOT NULL,
	correlation_id TEXT NOT NULL,
	event_type     TEXT NOT NULL,
	event_category TEXT NOT NULL,
	event_outcome  TEXT NOT NULL,
	severity       TEXT NOT NULL,
	event_hash     TEXT NOT NULL,
	audit_id       TEXT NOT NULL,
	ce_source      TEXT NOT NULL,
	ce_id          TEXT NOT NULL,
	body           TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_correlation ON audit_events (correlation_id, micros, event_id);
CREATE INDEX IF NOT EXISTS by_time ON audit_events (micros, event_id);`

// store keeps audit events in SQLite.
type store struct {
	*sql.DB

	insert, last *sql.Stmt
}

func openStore(path string) (*store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	// SQLite has one writer; waiting here is fairer than retrying there.
	db.SetMaxOpenConns(1)
	s := &store{DB: db}
	if err := s.prepare(context.Background()); err != nil {
		db.Close()
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return s, nil
}

func (s *store) prepare(ctx context.Context) error {
	if _, err := s.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("making the table: %w", err)
	}
	var err error
	s.last, err = s.PrepareContext(ctx, `SELECT event_hash FROM audit_events WHERE correlation_id = ?
		ORDER BY micros DESC, event_id DESC LIMIT 1`)
	if err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	s.insert, err = s.PrepareContext(ctx, `INSERT INTO audit_events
		(event_id, micros, correlation_id, event_type, event_category, event_outcome, severity, event_hash, audit_id, ce_source, ce_id, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	return nil
}

// Close closes the database.
func (s *store) Close() error {
	if err := errors.Join(s.insert.Close(), s.last.Close(), s.DB.Close()); err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}

// add stores events in one transaction. The events of a correlation id are
// linked in their order, the first of them to the newest that is stored.
func (s *store) add(ctx context.Context, events []*row) error {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // After a commit it has nothing to do.
	last := map[string]string{}
	for _, e := range events {
		if err := e.fits(); err != nil {
			return err
		}
		if err := s.addOne(ctx, tx, e, last); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	return nil
}

func (s *store) addOne(ctx context.Context, tx *sql.Tx, e *row, last map[string]string) error {
	previous, known := last[e.CorrelationID]
	if !known {
		//nolint:sqlclosecheck // The transaction closes its statements.
		err := tx.StmtContext(ctx, s.last).QueryRowContext(ctx, e.CorrelationID).Scan(&previous)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("storing: %w", err)
		}
	}
	if err := e.link(previous); err != nil {
		return err
	}
	last[e.CorrelationID] = e.Hash
	return s.put(ctx, tx.StmtContext(ctx, s.insert), e)
}

// note stores one event outside of any chain.
func (s *store) note(ctx context.Context, e *row) error { return s.put(ctx, s.insert, e) }

func (s *store) put(ctx context.Context, insert *sql.Stmt, e *row) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	_, err = insert.ExecContext(ctx, e.EventID, e.Timestamp.UnixMicro(), e.CorrelationID, e.EventType, e.Category,
		e.Outcome, e.Severity, e.Hash, e.auditID(), e.source, e.id, string(body))
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	return nil
}

// conditions are the filter's, and their arguments.
func (f filter) conditions() (where string, args []any) {
	var all []string
	and := func(condition string, values ...any) {
		all = append(all, condition)
		args = append(args, values...)
	}
	for column, value := range f.columns {
		if value != "" {
			and(column+" = ?", value)
		}
	}
	if !f.since.IsZero() {
		and("micros >= ?", f.since.UnixMicro()) // The driver of the real server cuts nanoseconds off.
	}
	if !f.until.IsZero() {
		and("micros <= ?", f.until.UnixMicro())
	}
	if f.detailKey != "" {
		path := "$.event_data." + f.detailKey
		and(`CASE json_type(body, ?) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'
			ELSE CAST(json_extract(body, ?) AS TEXT) END = ?`, path, path, f.detailValue)
	}
	if len(all) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(all, " AND "), args
}

// find returns a page of the events that a filter selects, newest first, and how
// many there are in all.
func (s *store) find(ctx context.Context, f filter, limit, offset int) ([]row, int, error) {
	where, args := f.conditions()
	var total int
	if err := s.QueryRowContext(ctx, "SELECT count(*) FROM audit_events"+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("querying: %w", err)
	}
	data, err := s.rows(ctx, where+" ORDER BY micros DESC, event_id DESC LIMIT ? OFFSET ?", slices.Concat(args, []any{limit, offset})...)
	return data, total, err
}

// chain returns the first events of a correlation id, in the order in which they
// are verified.
func (s *store) chain(ctx context.Context, correlationID string, most int) ([]row, error) {
	return s.rows(ctx, " WHERE correlation_id = ? AND event_hash <> '' ORDER BY micros, event_id LIMIT ?", correlationID, most)
}

// date is the day of an event.
func (s *store) date(ctx context.Context, eventID string) (time.Time, error) {
	var micros int64
	err := s.QueryRowContext(ctx, "SELECT micros FROM audit_events WHERE event_id = ?", strings.ToLower(eventID)).Scan(&micros)
	if err != nil {
		return time.Time{}, fmt.Errorf("looking for an event: %w", err)
	}
	return time.UnixMicro(micros).UTC().Truncate(24 * time.Hour), nil
}

func (s *store) rows(ctx context.Context, rest string, args ...any) ([]row, error) {
	rows, err := s.QueryContext(ctx, "SELECT body, ce_source, ce_id FROM audit_events"+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("querying: %w", err)
	}
	defer rows.Close()
	data := []row{}
	for rows.Next() {
		var (
			body string
			e    row
		)
		if err := rows.Scan(&body, &e.source, &e.id); err != nil {
			return nil, fmt.Errorf("querying: %w", err)
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			return nil, fmt.Errorf("querying: %w", err)
		}
		data = append(data, e)
	}
	return data, rows.Err()
}
