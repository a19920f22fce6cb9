package tool

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"onefire/dedup"
)

// watch lists again and again until the context ends. On a terminal the table is
// drawn anew each time, so that ages are those of now. Elsewhere, and as JSON, a
// listing is written if something other than an age has changed.
//
// It reads all pages each time, where a watch would get changes alone. That is plain:
// a watch would have to begin anew with a List whenever its connection or its revision
// is lost. A large listing is read less often, so that this is no load.
//
// It fails if the first listing cannot be read. Later it says so and tries again:
// an API server that restarts is what somebody may be watching for.
func (l *lister) watch(ctx context.Context) error {
	var shown []dedup.Request
	said, drawn := "", terminal(l.streams.Out) && l.out.format != "json"
	for first := true; ; {
		began := time.Now()
		found, err := l.read(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil && err.Error() != said:
			said = err.Error()
			fmt.Fprintf(l.streams.Err, "onefire: %s: trying again\n", printable(said))
		case err != nil:
		case first || drawn || said != "" || !slices.Equal(found.requests, shown):
			if err := l.draw(found, drawn, first); err != nil {
				return err
			}
			shown, said, first = found.requests, "", false
		}
		if l.pause(ctx, pauseAfter(time.Since(began))) != nil {
			return nil
		}
	}
}

// pauseAfter is the pause after a listing that took a while.
func pauseAfter(took time.Duration) time.Duration { return max(watchEvery, watchShare*took) }

// draw writes one listing of several: on a terminal in place of the last one.
func (l *lister) draw(found listing, drawn, first bool) error {
	if l.out.format == "json" {
		return l.print(l.streams.Out, found)
	}
	var text bytes.Buffer // At once, so that a terminal does not flicker.
	if drawn {
		text.WriteString("\x1b[H\x1b[2J")
	} else if !first {
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "%s, %s: %s\n", clock(found.now), l.place(), many(len(found.requests), "request"))
	if len(found.requests) > 0 {
		if err := l.print(&text, found); err != nil {
			return err
		}
	}
	_, err := text.WriteTo(l.streams.Out)
	return err
}
