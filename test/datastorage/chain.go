package datastorage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// link chains a row to the one before it.
func (e *row) link(previous string) error {
	hash, err := e.hash(previous)
	if err != nil {
		return err
	}
	e.PreviousHash, e.Hash = previous, hash
	return nil
}

// hash is that of a row after another whose hash is given.
func (e *row) hash(previous string) (string, error) {
	unlinked := *e
	unlinked.Hash, unlinked.PreviousHash, unlinked.Date = "", "", ""
	text, err := json.Marshal(unlinked)
	if err != nil {
		return "", fmt.Errorf("hashing an event: %w", err)
	}
	sum := sha256.Sum256(append([]byte(previous), text...))
	return hex.EncodeToString(sum[:]), nil
}

// maxVerified is the longest chain that the real server verifies.
const maxVerified = 10_000

// Chain says whether the events of a correlation id are linked in the order of
// their timestamps and ids.
type Chain struct {
	CorrelationID string     `json:"correlation_id"`
	Valid         bool       `json:"is_valid"`
	Total         int        `json:"total_events"`
	Verified      int        `json:"verified_events"`
	Tampered      []Tampered `json:"tampered_events,omitempty"`
	At            time.Time  `json:"verification_time"`
	Message       string     `json:"message"`
}

// Tampered is an event that is not linked to the one before it.
type Tampered struct {
	EventID   string    `json:"event_id"`
	Timestamp time.Time `json:"event_timestamp"`
	Expected  string    `json:"expected_hash"`
	Actual    string    `json:"actual_hash"`
	Previous  string    `json:"previous_hash"`
	Message   string    `json:"message"`
}

// verify answers a request to verify a hash chain.
func (s *Server) verify(w http.ResponseWriter, body []byte) {
	var q struct {
		CorrelationID string `json:"correlation_id"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		s.reject(err)
		problem(w, http.StatusBadRequest, "invalid-request-body", "Invalid Request Body", "The request body could not be parsed as JSON")
		return
	}
	rows, err := s.store.chain(q.CorrelationID, maxVerified+1)
	if err == nil && len(rows) > maxVerified {
		err = errors.New("too many events")
	}
	var chain Chain
	if err == nil {
		chain, err = verified(q.CorrelationID, rows)
	}
	if err != nil {
		problem(w, http.StatusInternalServerError, "verify-chain/internal-error", "Verification Failed",
			"An internal error occurred. Check server logs for details.")
		return
	}
	reply(w, http.StatusOK, chain)
}

func verified(correlationID string, rows []row) (Chain, error) {
	c := Chain{CorrelationID: correlationID, Valid: true, Total: len(rows), At: time.Now().UTC()}
	if len(rows) == 0 {
		c.Message = "No events found for correlation_id"
		return c, nil
	}
	previous := ""
	for _, e := range rows {
		hash, err := e.hash(previous)
		if err != nil {
			return Chain{}, err
		}
		if e.PreviousHash != previous {
			c.Tampered = append(c.Tampered, Tampered{EventID: e.EventID, Timestamp: e.Timestamp, Previous: previous,
				Message: "Previous hash mismatch: event claims different previous_event_hash"})
		}
		if e.Hash == hash {
			c.Verified++
		} else {
			c.Tampered = append(c.Tampered, Tampered{EventID: e.EventID, Timestamp: e.Timestamp, Expected: hash, Actual: e.Hash,
				Previous: previous, Message: "Event hash mismatch: event data has been tampered"})
		}
		previous = e.Hash
	}
	c.Valid = len(c.Tampered) == 0
	c.Message = "Hash chain verified successfully: no tampering detected"
	if !c.Valid {
		c.Message = "Hash chain verification FAILED: tampering detected"
	}
	return c, nil
}
