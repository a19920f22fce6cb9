package datastorage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// queryTimeout bounds a query.
	queryTimeout = 10 * time.Second
	// defaultLimit is the size of a page unless the client names one. The real
	// server's OpenAPI document says 50, and its handler 100.
	defaultLimit = 100
)

// Pagination says which page of how many events an answer is.
type Pagination struct {
	Limit   int  `json:"limit"`
	Offset  int  `json:"offset"`
	Total   int  `json:"total"`
	HasMore bool `json:"has_more"`
}

// filter selects events. Empty fields select nothing out.
type filter struct {
	correlationID          string
	columns                map[string]string
	since, until           time.Time
	detailKey, detailValue string
}

// query answers with a page of events, the newest first.
func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	f, page, err := parseQuery(r.URL.Query())
	if err != nil {
		s.reject(err)
		problem(w, http.StatusBadRequest, "validation-error", "Validation Error", "Validation failed for query parameters: query - invalid query parameters")
		return
	}
	data, total, err := []row(nil), 0, s.table.wait(ctx, false, s.options.LockTimeout)
	if err == nil {
		data, total, err = s.store.find(f, page.Limit, page.Offset)
	}
	if err != nil {
		problem(w, http.StatusInternalServerError, "database-error", "Database Error", "Failed to query audit events from database")
		return
	}
	page.Total, page.HasMore = total, page.Offset+len(data) < total
	reply(w, http.StatusOK, map[string]any{"data": data, "pagination": page})
}

func parseQuery(q url.Values) (filter, Pagination, error) {
	f := filter{
		correlationID: q.Get("correlation_id"), columns: map[string]string{},
		detailKey: q.Get("detail_key"), detailValue: q.Get("detail_value"),
	}
	page := Pagination{Limit: defaultLimit}
	for _, column := range columns {
		f.columns[column] = q.Get(column)
	}
	if (f.detailKey == "") != (f.detailValue == "") {
		return f, page, errors.New("detail_key and detail_value belong together")
	}
	for name, to := range map[string]*time.Time{"since": &f.since, "until": &f.until} {
		if text := q.Get(name); text != "" {
			t, err := parseTime(text)
			if err != nil {
				return f, page, fmt.Errorf("%s: %w", name, err)
			}
			*to = t
		}
	}
	for name, to := range map[string]*int{"limit": &page.Limit, "offset": &page.Offset} {
		if text := q.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return f, page, fmt.Errorf("%s: %w", name, err)
			}
			*to = n
		}
	}
	return f, page, nil
}

// parseTime reads a time of RFC 3339, one without a zone, a day, or how long ago
// it was ("90m", "7d").
func parseTime(text string) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if ago, err := time.ParseDuration(days + "h"); err == nil && ago >= 0 {
			return time.Now().Add(-24 * ago), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time", text)
}
