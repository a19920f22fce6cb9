package datastorage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	_ "modernc.org/sqlite" // The driver.
)

const schema = `
CREATE TABLE IF NOT EXISTS events (
	seq            INTEGER PRIMARY KEY,
	event_id       TEXT NOT NULL UNIQUE,
	ce_source      TEXT NOT NULL,
	ce_id          TEXT NOT NULL,
	correlation_id TEXT NOT NULL,
	event_type     TEXT NOT NULL,
	event_category TEXT NOT NULL,
	body           TEXT NOT NULL,
	UNIQUE (ce_source, ce_id)
);
CREATE INDEX IF NOT EXISTS by_correlation ON events (correlation_id);
CREATE INDEX IF NOT EXISTS by_type ON events (event_type);`

// store keeps audit events in SQLite.
type store struct{ *sql.DB }

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
	if _, err := db.ExecContext(context.Background(), schema); err != nil {
		db.Close()
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &store{db}, nil
}

// add stores events in one transaction. id is the CloudEvent's id of a single
// event; without one every event is a new one.
func (s *store) add(ctx context.Context, source, id string, all []json.RawMessage) ([]stored, error) {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("storing: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // After a commit it has nothing to do.
	var answers []stored
	for _, raw := range all {
		var e struct {
			CorrelationID string `json:"correlation_id"`
			Type          string `json:"event_type"`
			Category      string `json:"event_category"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, fmt.Errorf("storing: %w", err)
		}
		own := uuid.NewString()
		ceID := id
		if ceID == "" || len(all) > 1 {
			source, ceID = "", own
		}
		a := stored{Message: "stored"}
		err := tx.QueryRowContext(ctx, `INSERT INTO events (event_id, ce_source, ce_id, correlation_id, event_type, event_category, body)
			VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (ce_source, ce_id) DO UPDATE SET ce_id = ce_id RETURNING event_id, json_extract(body, '$.event_timestamp')`,
			own, source, ceID, e.CorrelationID, e.Type, e.Category, string(raw)).Scan(&a.EventID, &a.Timestamp)
		if err != nil {
			return nil, fmt.Errorf("storing: %w", err)
		}
		answers = append(answers, a)
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("storing: %w", err)
	}
	return answers, nil
}

// find returns a page of the events whose columns have the given values, oldest
// first, and how many there are in all. Empty values select nothing out.
func (s *store) find(ctx context.Context, columns map[string]string, limit, offset int) ([]map[string]any, int, error) {
	var (
		where []string
		args  []any
	)
	for column, value := range columns {
		if value != "" {
			where = append(where, column+" = ?")
			args = append(args, value)
		}
	}
	filter := ""
	if len(where) > 0 {
		filter = " WHERE " + strings.Join(where, " AND ")
	}
	var total int
	if err := s.QueryRowContext(ctx, "SELECT count(*) FROM events"+filter, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("querying: %w", err)
	}
	rows, err := s.QueryContext(ctx, "SELECT event_id, ce_id, body FROM events"+filter+" ORDER BY seq LIMIT ? OFFSET ?", slices.Concat(args, []any{limit, offset})...)
	if err != nil {
		return nil, 0, fmt.Errorf("querying: %w", err)
	}
	defer rows.Close()
	data := []map[string]any{}
	for rows.Next() {
		var eventID, ceID, body string
		if err := rows.Scan(&eventID, &ceID, &body); err != nil {
			return nil, 0, fmt.Errorf("querying: %w", err)
		}
		var e map[string]any
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber() // Numbers come back as they came.
		if err := d.Decode(&e); err != nil {
			return nil, 0, fmt.Errorf("querying: %w", err)
		}
		e["event_id"], e["ce_id"] = eventID, ceID
		data = append(data, e)
	}
	return data, total, rows.Err()
}
