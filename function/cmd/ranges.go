package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// reader reads a history in ranges that the server can answer.
type reader struct {
	step time.Duration
	// ask asks for one range, both ends included.
	ask func(ctx context.Context, from, to time.Time) (answer, error)
	// take takes an answer, and done shows how much of the history was read.
	take func(answer) error
	done func(upTo time.Time)
}

// read reads all samples between two times, one range after the other. A range begins one
// step after the end of the one before. If the server rejects a range as too large, the
// reader halves it, and enlarges it again when answers fit.
func (r reader) read(ctx context.Context, from, to time.Time) error {
	most := max(1, min(maxPoints, int64(maxSpan/r.step)))
	points := most
	var fitted, late int
	for queries := 0; !from.After(to); queries++ {
		if queries == maxQueries {
			return fmt.Errorf("gave up at %s after %d queries: ask for less with -since, or in larger steps with -step", clock(from), maxQueries)
		}
		end := from.Add(time.Duration(points-1) * r.step)
		if end.After(to) {
			end = to
		}
		a, err := r.ask(ctx, from, end)
		var much *tooMuchError
		switch {
		case errors.As(err, &much):
			if much.late {
				late++
			}
			if points = min(points, int64(end.Sub(from)/r.step)+1) / 2; points == 0 || late == maxTimeouts {
				return fmt.Errorf("%w, also for a shorter time: use larger steps with -step, or a server with fewer series", err)
			}
			fitted = 0
			continue
		case err != nil:
			return err
		}
		if err := r.take(a); err != nil {
			return err
		}
		if late, fitted = 0, fitted+1; fitted%growAfter == 0 {
			points = min(most, 2*points)
		}
		r.done(end)
		from = end.Add(r.step)
	}
	return nil
}
