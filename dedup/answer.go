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

// neededFields are the fields of an object that the protocol reads: those of
// [wireObject]. A new field of wireObject needs its entry here; a test compares the two.
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

// errBusy means that the running Lists hold all the memory of the [memoryBudget].
var errBusy = errors.New("running Lists use all the memory that Lists may use")

// memoryBudget is the memory that all running Lists share. A List waits for its first
// reservation before it begins. A List that already holds memory does not wait for more,
// because two such Lists could wait for each other forever.
type memoryBudget struct{ free *semaphore.Weighted }

func newMemoryBudget() memoryBudget { return memoryBudget{semaphore.NewWeighted(maxListMemory)} }

// reservation is the part of the memory budget that one List holds. spare bytes of it are
// not used yet.
type reservation struct {
	memoryBudget
	bytes, spare int
}

// reserve waits until a List can hold that many bytes.
func (r memoryBudget) reserve(ctx context.Context, bytes int) (*reservation, error) {
	if err := r.free.Acquire(ctx, int64(bytes)); err != nil {
		return nil, fmt.Errorf("waiting for memory for a List: %w", err)
	}
	return &reservation{r, bytes, bytes}, nil
}

// grow takes more bytes: from what is spare, or from the budget if it has enough left.
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

// boundedReader fails with [errTooLarge] after left bytes.
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

// readObject decodes an answer that is one object.
func readObject(from io.Reader, more func(int) error) (wireObject, error) {
	var w wireObject
	s := newScanner(from, more)
	if err := s.decode(neededFields, &w); err != nil {
		return w, err
	}
	return w, s.atEnd()
}

// readList decodes the answer to a List, item by item. It returns the token for the next
// page, which is empty after the last page.
func readList(from io.Reader, more func(int) error, each func(object) error) (next string, err error) {
	s := newScanner(from, more)
	var head struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Continue string `json:"continue"`
		} `json:"metadata"`
	}
	err = s.fields(func(name string) error {
		switch {
		case strings.EqualFold(name, "items"):
			if c, err := s.next(); c != '[' {
				var none json.RawMessage // A List without items may have null.
				if err = errors.Join(err, s.decode(nil, &none)); err == nil && string(none) != "null" {
					err = errors.New("its items are not a list")
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
