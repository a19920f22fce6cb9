package datastorage

import (
	"encoding/json"
	"net/http"
	"strings"
)

// problemTypes is where the real server's types of problems begin.
const problemTypes = "https://kubernaut.ai/problems/"

// created is the answer to a single event that was stored.
type created struct {
	EventID string `json:"event_id"`
	// Timestamp has whole seconds, whatever was sent.
	Timestamp string `json:"event_timestamp"`
	Message   string `json:"message"`
}

// batchCreated is the answer to a batch that was stored.
type batchCreated struct {
	EventIDs []string `json:"event_ids"`
	Message  string   `json:"message"`
}

// accepted is the answer to events that were queued; Count is a batch's.
type accepted struct {
	Status  string `json:"status"`
	Message string `json:"message"`
	Count   int    `json:"count,omitempty"`
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A failed write has no reader any more.
	_ = json.NewEncoder(w).Encode(body)
}

// problem answers as RFC 7807 says. A kind without a colon is one of
// kubernaut's.
func problem(w http.ResponseWriter, status int, kind, title, detail string) {
	if !strings.Contains(kind, ":") {
		kind = problemTypes + kind
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": kind, "title": title, "status": status, "detail": detail})
}

func tooLarge(w http.ResponseWriter) {
	problem(w, http.StatusRequestEntityTooLarge, "request-too-large", "Request Entity Too Large",
		"Request body exceeds the maximum allowed size.")
}
