package audit

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
)

// memory holds what became of the newest events. It may be used by any number of
// goroutines.
type memory struct{ memos *lru.Cache[uuid.UUID, memo] }

// memo is what became of an event.
type memo struct {
	// accepted tells that the sink has it. If not, doubt tells that it may have it.
	accepted, doubt bool
	// own tells that this process made the event's decision.
	own bool
	// until is when a row that the sink does not show was never stored, but for
	// what the sink keeps in a queue.
	until time.Time
}

func newMemory() (memory, error) {
	memos, err := lru.New[uuid.UUID, memo](maxRemembered)
	if err != nil {
		return memory{}, fmt.Errorf("making the memory of audit events: %w", err)
	}
	return memory{memos}, nil
}

// left notes that an item's delivery ended and that the sink may not have it.
func (m memory) left(it *item) {
	m.memos.Add(it.id, memo{doubt: it.doubt, own: it.own, until: it.until})
}

func (m memory) accepted(id uuid.UUID) bool {
	known, _ := m.memos.Get(id)
	return known.accepted
}
