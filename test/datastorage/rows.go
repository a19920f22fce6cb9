package datastorage

import (
	"context"
	"fmt"
	"time"
)

// AuditIDAnnotation is the entry of event_data.signal_annotations in which
// Onefire keeps its own id of an audit event.
const AuditIDAnnotation = "onefire/audit-id"

// Row is a stored event as tests see it, with what the API does not tell: the
// CloudEvents headers of the request that it came with.
type Row struct {
	EventID, EventType, CorrelationID string
	Timestamp                         time.Time
	Namespace, Severity               string
	Data                              map[string]any

	// AuditID is Onefire's id of the event; CEID and CESource are the headers.
	AuditID, CEID, CESource string
}

// Rows gives the stored events that clients sent, in the order in which they were
// stored. Neither a lock nor a slow database holds it up.
func (s *Server) Rows(ctx context.Context) ([]Row, error) {
	stored, err := s.store.rows(ctx, " WHERE event_type <> ? ORDER BY seq", deniedType)
	if err != nil {
		return nil, err
	}
	all := make([]Row, len(stored))
	for i, e := range stored {
		all[i] = Row{
			EventID: e.EventID, EventType: e.EventType, CorrelationID: e.CorrelationID, Timestamp: e.Timestamp,
			Namespace: e.Namespace, Severity: e.Severity, Data: e.Data, AuditID: e.auditID(), CEID: e.id, CESource: e.source,
		}
	}
	return all, nil
}

// RowsPerAuditID counts the stored rows of each of Onefire's audit ids. Rows that
// have none count under the empty id.
func (s *Server) RowsPerAuditID(ctx context.Context) (map[string]int, error) {
	return s.count(ctx, "audit_id")
}

// RowsPerCEID counts the stored rows of each Ce-Id header.
func (s *Server) RowsPerCEID(ctx context.Context) (map[string]int, error) {
	return s.count(ctx, "ce_id")
}

func (s *Server) count(ctx context.Context, column string) (map[string]int, error) {
	rows, err := s.store.QueryContext(ctx, "SELECT "+column+", count(*) FROM audit_events WHERE event_type <> ? GROUP BY 1", deniedType)
	if err != nil {
		return nil, fmt.Errorf("counting rows: %w", err)
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var (
			id string
			n  int
		)
		if err := rows.Scan(&id, &n); err != nil {
			return nil, fmt.Errorf("counting rows: %w", err)
		}
		counts[id] = n
	}
	return counts, rows.Err()
}
