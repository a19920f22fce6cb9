package deadletters

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// errFull means that there is no room for one more dead letter.
var errFull = errors.New("there is no room for more dead letters: replay or delete some, or raise MAX_DEAD_LETTERS or MAX_DEAD_LETTER_BYTES")

// usage is how many dead letters there are, and how many bytes they take.
type usage struct {
	letters int
	bytes   int64
}

// quota bounds the usage of one namespace. It knows the last count and what this process
// has added since, and counts again when the last count is too old. So the bound is exact
// for one process; several processes may exceed it by what they add between two counts.
type quota struct {
	most  usage
	count func(context.Context) (usage, error)
	now   func() time.Time

	// turn guards the fields that follow. It is a channel because a count takes a while,
	// and the callers that wait have a deadline.
	turn    chan struct{}
	known   usage
	counted time.Time
}

func newQuota(most usage, count func(context.Context) (usage, error)) *quota {
	return &quota{most: most, count: count, now: time.Now, turn: make(chan struct{}, 1)}
}

// reserve reserves room for one dead letter of a size, or fails with [errFull]. giveBack
// releases the room if it was not needed; if the caller cannot tell, the next count does
// so.
func (r *quota) reserve(ctx context.Context, size int64) (giveBack func(context.Context), err error) {
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := r.refresh(ctx, usageAge); err != nil {
		return nil, err
	}
	if !r.fits(size) {
		// There may be room again.
		if err := r.refresh(ctx, fullAge); err != nil {
			return nil, err
		}
	}
	if !r.fits(size) {
		return nil, errFull
	}
	r.known.letters++
	r.known.bytes += size
	counted := r.counted
	return func(ctx context.Context) {
		unlock, err := r.lock(ctx)
		if err != nil {
			return
		}
		defer unlock()
		if r.counted.Equal(counted) { // Otherwise the count does not include it.
			r.known.letters--
			r.known.bytes -= size
		}
	}, nil
}

// waiting returns how many dead letters there are.
func (r *quota) waiting(ctx context.Context) (usage, error) {
	unlock, err := r.lock(ctx)
	if err != nil {
		return usage{}, err
	}
	defer unlock()
	err = r.refresh(ctx, usageAge)
	return r.known, err
}

func (r *quota) fits(size int64) bool {
	return r.known.letters < r.most.letters && r.known.bytes+size <= r.most.bytes
}

// refresh counts again, unless the last count is recent enough.
func (r *quota) refresh(ctx context.Context, age time.Duration) error {
	now := r.now()
	if now.Sub(r.counted) < age {
		return nil
	}
	s, err := r.count(ctx)
	if err != nil {
		return fmt.Errorf("counting dead letters: %w", err)
	}
	r.known, r.counted = s, now
	return nil
}

func (r *quota) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a count of dead letters: %w", ctx.Err())
	}
}

// count counts the dead letters of a namespace. A ConfigMap without a size was not made
// here, and counts with the largest size.
func (a *api) count(ctx context.Context) (usage, error) {
	all, err := a.list(ctx)
	if err != nil {
		return usage{}, err
	}
	s := usage{letters: len(all)}
	for i := range all {
		size := int64(maxKept)
		if n, err := strconv.ParseInt(all[i].Annotations[bytesAnnotation], 10, 64); err == nil && n >= 0 {
			size = min(n, maxKept)
		}
		s.bytes += size
	}
	return s, nil
}
