package datastorage

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"time"

	"onefire/mapping"
)

// Fault is something that goes wrong with a POST.
type Fault struct {
	// Times is how many requests it befalls; 0 means all until [Server.Heal].
	Times int
	// Match selects requests by their body; nil means all.
	Match func(body []byte) bool
	// Delay holds the request back before the server writes to its database, or
	// until its client gives up. The server then goes on: if the client is gone,
	// the write fails and the event is queued.
	Delay time.Duration
	// Refuse hangs up without an answer and stores nothing.
	Refuse bool
	// Status is answered instead of storing, with RetryAfter as the header of
	// that name. 202 lets the write fail: the event is queued.
	Status     int
	RetryAfter string
	// DropAnswer stores, and then hangs up.
	DropAnswer bool
	// Lasting makes it stay when the server is healed.
	Lasting bool
}

// Inject adds a fault. The first that matches a request befalls it.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

// Heal takes all faults away that are not lasting.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f Fault) bool { return !f.Lasting })
}

func (s *Server) fault(r *http.Request, body []byte) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A function's readiness probe comes at any time and is never stored: no fault is
	// spent on it.
	if r.Method != http.MethodPost || bytes.Contains(body, []byte(`"correlation_id":"`+mapping.TrialCorrelation+`"`)) {
		return Fault{}
	}
	s.posts++
	for i, f := range s.faults {
		if f.Match != nil && !f.Match(body) {
			continue
		}
		if f.Times > 0 {
			s.faults[i].Times--
			if s.faults[i].Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		if !f.Lasting {
			s.befallen++
		}
		return f
	}
	return Fault{}
}

// Befallen says how many posts met a fault that is not lasting, of how many.
func (s *Server) Befallen() (met, of int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.befallen, s.posts
}

// before does what goes wrong before anything is stored, and tells whether that
// was all.
func (f Fault) before(w http.ResponseWriter, r *http.Request) (done bool) {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		}
	}
	switch {
	case f.Refuse:
		hangUp()
		return true
	case f.Status != 0 && f.Status != http.StatusAccepted:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		problem(w, f.Status, "about:blank", http.StatusText(f.Status), "injected fault")
		return true
	}
	return false
}

// errInjected is why a write fails that a fault lets fail.
var errInjected = errors.New("injected fault")

// write writes, unless the fault is that the write fails.
func (f Fault) write(write func() error) error {
	if f.Status == http.StatusAccepted {
		return errInjected
	}
	return write()
}

// hangUp ends the connection without an answer.
func hangUp() { panic(http.ErrAbortHandler) }
