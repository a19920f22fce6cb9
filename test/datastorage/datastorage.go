// Package datastorage is a DataStorage for tests. It speaks the part of
// kubernaut's DataStorage API that a gateway uses, keeps audit events in a
// file, and treats its clients as badly as the real one does:
//
//   - It stores a row for each POST. No id, header or content of a request makes
//     it recognise an event that it already has.
//   - A write that is interrupted, because its time is up or its client hung up,
//     goes into a queue. The server answers 202 and stores the event later, at
//     most ten events every 30 seconds and not before a minute has passed.
//   - An event that the OpenAPI document allows and the table does not, such as
//     one with a severity of more than 20 characters, is answered with 202 too,
//     and is never stored.
//   - A batch is stored whole or not at all. If it is not, each of its events is
//     queued on its own.
//   - A client that sends too fast is answered with 429, and each such answer adds
//     an event of the category "security" to what queries find.
//   - A query gives the newest events first, and says nothing about the queue.
//   - A hash chain per correlation id follows the order of writing, and its
//     verification the order of (event_timestamp, event_id). Events with equal
//     timestamps therefore look tampered with in about half of the cases.
//
// Tests can make it worse (see [Server.Inject], [Server.LockTable],
// [Server.SlowDown] and [Server.StopQueue]) and can ask for what the API does not
// tell (see [Server.Rows], [Server.RowsPerAuditID] and [Server.Rejected]).
package datastorage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"onefire/mapping"
)

// The paths of the API.
const (
	// AuditPath is where audit events are posted to and queried.
	AuditPath = "/api/v1/audit/events"
	// BatchPath takes arrays of audit events.
	BatchPath = AuditPath + "/batch"
	// VerifyPath verifies the hash chain of a correlation id.
	VerifyPath = "/api/v1/audit/verify-chain"
)

// Options say what a server keeps, where, for whom and with which patience. The
// zero value of a number or a duration stands for the real server's default.
type Options struct {
	// Path is the database's file; the server makes it when it is missing.
	Path string
	// Schema is the contract's version; empty means 2026-01.
	Schema mapping.Schema

	// Token is the bearer token to ask for; empty asks for none.
	Token string
	// Reviews is the Kubernetes API server that reviews tokens and permissions.
	// If it is set, Token has no meaning.
	Reviews *rest.Config
	// Namespace is the namespace of the Service data-storage-service, on which
	// clients need the verbs get and create. It defaults to kubernaut-system.
	Namespace string

	// Rate is how many requests a client address may make each second, and Burst
	// how many at once: 50 and 100. A negative Rate turns the limit off.
	Rate  float64
	Burst int

	// WriteTimeout bounds the write of a single event (5s), BatchTimeout that of
	// a batch (30s), and LockTimeout the wait for a lock of the table (10s).
	WriteTimeout, BatchTimeout, LockTimeout time.Duration
	// QueueInterval is how often the queue's worker stores events (30s). The
	// waits before its attempts are multiples of it, the first being twice as long.
	QueueInterval time.Duration
	// QueueLength is how many events the queue holds (10,000). A queue that is
	// full forgets its oldest events.
	QueueLength int
}

// orDefault gives *v a value if it has none.
func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (o *Options) setDefaults() {
	orDefault(&o.Schema, mapping.Schema202601)
	orDefault(&o.Namespace, "kubernaut-system")
	orDefault(&o.Rate, 50)
	orDefault(&o.Burst, 100)
	orDefault(&o.WriteTimeout, 5*time.Second)
	orDefault(&o.BatchTimeout, 30*time.Second)
	orDefault(&o.LockTimeout, 10*time.Second)
	orDefault(&o.QueueInterval, 30*time.Second)
	orDefault(&o.QueueLength, 10_000)
}

// Server is a DataStorage. It is an [http.Handler].
type Server struct {
	options Options
	store   *store
	queue   *queue
	table   table
	access  access
	limits  limiter
	check   *contract

	mu       sync.Mutex
	faults   []Fault
	rejected []string
	// befallen of posts met a fault.
	befallen, posts int
}

// Open opens a server.
func Open(o Options) (*Server, error) {
	o.setDefaults()
	check, err := newContract(o.Schema)
	if err != nil {
		return nil, err
	}
	access, err := newAccess(o)
	if err != nil {
		return nil, err
	}
	st, err := openStore(o.Path)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, store: st, check: check, access: access, limits: newLimiter(o.Rate, o.Burst)}
	s.queue = startQueue(o.QueueInterval, o.QueueLength, s.write)
	return s, nil
}

// Close stores what is queued, as the real server does when it is stopped, and
// closes the database.
func (s *Server) Close() error {
	s.queue.close()
	return s.store.Close()
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The probe of this repository's image; the real server has none here.
	if r.URL.Path == "/healthz" {
		w.WriteHeader(http.StatusOK)
		return
	}
	if r.Method == http.MethodPost && r.ContentLength > maxBody {
		tooLarge(w)
		return
	}
	if !s.limits.allow(r) {
		s.deny(w, r)
		return
	}
	if r.URL.Path == "/readyz" {
		w.WriteHeader(http.StatusOK)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/v1/") && !s.access.may(w, r, "get") {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		s.invalid(w, err)
		return
	}
	if err != nil {
		hangUp() // The client did not send all of it and reads no answer.
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault := s.fault(r, body)
	if done := fault.before(w, r); done {
		return
	}
	if err := s.check.request(r); err != nil {
		s.invalid(w, err)
		return
	}
	s.route(w, r, body, fault)
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, body []byte, fault Fault) {
	methods := map[string]map[string]func(){
		AuditPath: {
			http.MethodGet:  func() { s.query(w, r) },
			http.MethodPost: func() { s.single(w, r, body, fault) },
		},
		BatchPath:  {http.MethodPost: func() { s.batch(w, r, body, fault) }},
		VerifyPath: {http.MethodPost: func() { s.verify(w, body) }},
	}[r.URL.Path]
	if methods == nil {
		http.NotFound(w, r)
		return
	}
	handle := methods[r.Method]
	if handle == nil {
		for method := range methods {
			w.Header().Add("Allow", method)
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if r.Method == http.MethodPost && !s.access.may(w, r, "create") {
		return
	}
	handle()
}

// invalid answers a request that is outside the contract. The real server tells
// the reason to its log alone, and this one to [Server.Rejected].
func (s *Server) invalid(w http.ResponseWriter, reason error) {
	s.reject(reason)
	problem(w, http.StatusBadRequest, "validation-error", "Validation Error", "The request did not pass OpenAPI schema validation")
}

// reject keeps the reason for a 400.
func (s *Server) reject(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected = append(s.rejected, reason.Error())
}

// Rejected gives the reasons for the requests that were answered with 400, in
// their order. A client is never told.
func (s *Server) Rejected() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.rejected...)
}

// errNoSchema says which schema is unknown.
func errNoSchema(schema mapping.Schema) error {
	return fmt.Errorf("DataStorage knows no schema %q", schema)
}
