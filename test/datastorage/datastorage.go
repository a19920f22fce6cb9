// Package datastorage is a small DataStorage: it takes audit events over HTTP,
// checks each against the OpenAPI document of the contract, keeps it in SQLite
// and gives it back. It does what the real one does and two things more: it
// keeps each CloudEvent once, and it fails on demand (see [Server.Inject]).
package datastorage

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"onefire/mapping"
)

// AuditPath is where audit events are posted to and queried.
const AuditPath = "/api/v1/audit/events"

const (
	// maxBody is the contract's limit of a batch, 5 MiB.
	maxBody = 5 << 20
	// maxAhead and maxBehind bound an event's timestamp.
	maxAhead  = 60 * time.Minute
	maxBehind = 7 * 24 * time.Hour
)

//go:embed openapi-2026-01.yaml
var openapi202601 []byte

//go:embed openapi-2026-08.yaml
var openapi202608 []byte

// Server is a DataStorage. It is an [http.Handler].
type Server struct {
	store  *store
	routes routers.Router
	token  string

	mu     sync.Mutex
	faults []Fault
}

// Options say what a server keeps, where, and for whom.
type Options struct {
	// Path is the database's file; it is made when it is not there.
	Path string
	// Schema is the contract's version; empty means the first.
	Schema mapping.Schema
	// Token is the bearer token to ask for; empty asks for none.
	Token string
}

// Open opens a server.
func Open(o Options) (*Server, error) {
	document, ok := map[mapping.Schema][]byte{"": openapi202601, mapping.Schema202601: openapi202601, mapping.Schema202608: openapi202608}[o.Schema]
	if !ok {
		return nil, fmt.Errorf("DataStorage knows no schema %q", o.Schema)
	}
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the OpenAPI document is not valid: %w", err)
	}
	routes, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("routing by the OpenAPI document: %w", err)
	}
	st, err := openStore(o.Path)
	if err != nil {
		return nil, err
	}
	return &Server{store: st, routes: routes, token: o.Token}, nil
}

// Close closes the database.
func (s *Server) Close() error { return s.store.Close() }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		w.WriteHeader(http.StatusOK)
		return
	}
	if s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token {
		problem(w, http.StatusUnauthorized, "a valid bearer token is needed")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		problem(w, http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault := s.fault(r, body)
	if done := fault.before(w, r); done {
		return
	}
	route, params, err := s.routes.FindRoute(r)
	switch {
	case errors.Is(err, routers.ErrMethodNotAllowed):
		w.Header().Set("Allow", "GET, POST")
		problem(w, http.StatusMethodNotAllowed, "use POST or GET")
		return
	case err != nil:
		problem(w, http.StatusNotFound, "no such path: use /api/v1/audit/events")
		return
	}
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{},
	})
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	switch route.Operation.OperationID {
	case "queryAuditEvents":
		s.query(w, r)
	case "createAuditEvents":
		var all []json.RawMessage
		if err := json.Unmarshal(body, &all); err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
		s.create(w, r, all, true, fault)
	default:
		s.create(w, r, []json.RawMessage{body}, false, fault)
	}
}

// stored is the answer to a stored event.
type stored struct {
	EventID   string `json:"event_id"`
	Timestamp string `json:"event_timestamp"`
	Message   string `json:"message"`
}

// create stores all events or none. One that came before, by its CloudEvent
// source and id, gets the answer that it got then.
func (s *Server) create(w http.ResponseWriter, r *http.Request, all []json.RawMessage, batch bool, fault Fault) {
	for _, raw := range all {
		var e struct {
			Timestamp time.Time `json:"event_timestamp"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
		if age := time.Since(e.Timestamp); age > maxBehind || age < -maxAhead {
			problem(w, http.StatusBadRequest, "event_timestamp is more than 7 days old or 60 minutes ahead")
			return
		}
	}
	answers, err := s.store.add(r.Context(), r.Header.Get("Ce-Source"), r.Header.Get("Ce-Id"), all)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	if fault.DropAnswer {
		hangUp()
		return
	}
	status := http.StatusCreated
	if fault.Status == http.StatusAccepted {
		status = http.StatusAccepted
	}
	if batch {
		reply(w, status, answers)
		return
	}
	reply(w, status, answers[0])
}

// Pagination says which page of how many events an answer is.
type Pagination struct {
	Limit   int  `json:"limit"`
	Offset  int  `json:"offset"`
	Total   int  `json:"total"`
	HasMore bool `json:"has_more"`
}

func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(q.Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	page := Pagination{Limit: number("limit", 50), Offset: number("offset", 0)}
	data, total, err := s.store.find(r.Context(), map[string]string{
		"correlation_id": q.Get("correlation_id"),
		"event_type":     q.Get("event_type"),
		"event_category": q.Get("event_category"),
	}, page.Limit, page.Offset)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	page.Total, page.HasMore = total, page.Offset+len(data) < total
	reply(w, http.StatusOK, map[string]any{"data": data, "pagination": page})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A failed write has no reader any more.
	_ = json.NewEncoder(w).Encode(body)
}

// problem answers as RFC 7807 says.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}
