package dedup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sync/semaphore"
)

// needed are the parts of an object that the protocol reads: those of [wireObject].
// A new field of that needs its line here; a test holds the two together.
var neededFields = &fieldMask{fields: map[string]*fieldMask{
	"metadata": {fields: map[string]*fieldMask{
		"name": nil, "uid": nil, "resourceVersion": nil, "creationTimestamp": nil, "deletionTimestamp": nil,
		"labels":      {fields: map[string]*fieldMask{managedByLabel: nil}, prefix: ownPrefix},
		"annotations": {prefix: ownPrefix},
	}},
	"spec": wholeFields("signalFingerprint", "signalName", "severity", "signalLabels", "firingTime", "receivedTime"),
	"status": {fields: map[string]*fieldMask{
		"overallPhase": nil, "outcome": nil, "nextAllowedExecution": nil, "conditions": nil,
		"completionStatus": wholeFields("outcome"), "routingStatus": wholeFields("nextAllowedExecution"),
		"deduplication": wholeFields("firstSeenAt", "lastSeenAt", "lastResolvedAt", "occurrenceCount",
			"alerts", "alertsOmitted", "events", "absorbed", "alertStates"),
	}},
}}

// errBusy means that the Lists under way hold all the memory that they may have.
var errBusy = errors.New("too much is being read from the API server already")

// reading is the memory that all Lists under way share. A List waits for its first
// piece before it begins, and never for more while it holds some: two Lists that wait
// for each other would wait for ever.
type memoryBudget struct{ free *semaphore.Weighted }

func newMemoryBudget() memoryBudget { return memoryBudget{semaphore.NewWeighted(maxListMemory)} }

// held is one List's share of that memory, of which some is spare.
type reservation struct {
	memoryBudget
	bytes, spare int
}

// begin waits for the memory that a List begins with.
func (r memoryBudget) reserve(ctx context.Context, bytes int) (*reservation, error) {
	if err := r.free.Acquire(ctx, int64(bytes)); err != nil {
		return nil, fmt.Errorf("waiting for memory for a List: %w", err)
	}
	return &reservation{r, bytes, bytes}, nil
}

// more takes more memory, if there is some.
func (h *reservation) grow(bytes int) error {
	if bytes <= h.spare {
		h.spare -= bytes
		return nil
	}
	if !h.free.TryAcquire(int64(bytes)) {
		return errBusy
	}
	h.bytes += bytes
	return nil
}

func (h *reservation) release() { h.free.Release(int64(h.bytes)) }

// bounded reads no more than left bytes.
type boundedReader struct {
	io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.Reader.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// readObject decodes an answer that is an object.
func readObject(from io.Reader, more func(int) error) (wireObject, error) {
	var w wireObject
	s := newScanner(from, more)
	if err := s.decode(neededFields, &w); err != nil {
		return w, err
	}
	return w, s.atEnd()
}

// readList decodes an answer to a List, item by item. It returns what asks for the
// next page: empty after the last one.
func readList(from io.Reader, more func(int) error, each func(object) error) (next string, err error) {
	s := newScanner(from, more)
	var head struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Continue string `json:"continue"`
		} `json:"metadata"`
	}
	s.copied = []byte{}
	err = s.fields(func(name string) error {
		switch {
		case strings.EqualFold(name, "items"):
			if c, err := s.next(); err != nil || c != '[' {
				var none json.RawMessage // null, where there are none, and nothing else.
				if err = errors.Join(err, s.decode(nil, &none)); err == nil && string(none) != "null" {
					err = errors.New("its items are no list")
				}
				return err
			}
			return s.list('[', ']', func() error {
				var w wireObject
				if err := s.decode(neededFields, &w); err != nil {
					return err
				}
				return each(w.observe())
			})
		case strings.EqualFold(name, "kind"):
			return s.decode(nil, &head.Kind)
		case strings.EqualFold(name, "metadata"):
			return s.decode(wholeFields("continue"), &head.Metadata)
		}
		return s.value()
	})
	if err == nil {
		err = s.atEnd()
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the API server's answer to a List: %w", err)
	case !strings.HasSuffix(head.Kind, "List"):
		return "", fmt.Errorf("the API server's answer to a List is a %q", head.Kind)
	}
	return head.Metadata.Continue, nil
}
