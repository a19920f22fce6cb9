package datastorage

import (
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
func (s *Server) Rows() ([]Row, error) {
	stored, err := s.store.all()
	if err != nil {
		return nil, err
	}
	var all []Row
	for _, e := range stored {
		if e.EventType == deniedType {
			continue
		}
		all = append(all, Row{
			EventID: e.EventID, EventType: e.EventType, CorrelationID: e.CorrelationID, Timestamp: e.Timestamp,
			Namespace: e.Namespace, Severity: e.Severity, Data: e.Data, AuditID: e.auditID(), CEID: e.id, CESource: e.source,
		})
	}
	return all, nil
}

// RowsPerAuditID counts the stored rows of each of Onefire's audit ids. Rows that
// have none count under the empty id.
func (s *Server) RowsPerAuditID() (map[string]int, error) {
	return s.count(func(r Row) string { return r.AuditID })
}

// RowsPerCEID counts the stored rows of each Ce-Id header.
func (s *Server) RowsPerCEID() (map[string]int, error) {
	return s.count(func(r Row) string { return r.CEID })
}

func (s *Server) count(id func(Row) string) (map[string]int, error) {
	rows, err := s.Rows()
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, r := range rows {
		counts[id(r)]++
	}
	return counts, nil
}
