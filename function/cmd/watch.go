package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/term"

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
	said := ""
	for first := true; ctx.Err() == nil; {
		began, lines := time.Now(), height(l.streams.Out)
		found, err := l.read(ctx)
		switch {
		case err != nil && ctx.Err() != nil: // It was told to end.
		case err != nil && first:
			return err
		case err != nil && err.Error() != said:
			said = err.Error()
			fmt.Fprintf(l.streams.Err, "onefire: %s: trying again\n", printable(said))
		case err != nil:
		case first || lines > 0 && l.out.format != "json" || said != "" || !slices.Equal(found.requests, shown):
			if err := l.draw(found, lines, first); err != nil {
				return err
			}
			shown, said, first = found.requests, "", false
		}
		_ = l.pause(ctx, pauseAfter(time.Since(began))) // The loop asks the context.
	}
	return nil
}

// pauseAfter is the pause after a listing that took a while.
func pauseAfter(took time.Duration) time.Duration { return max(watchEvery, watchShare*took) }

// draw writes one listing of several: on a terminal, which has some lines, in place of
// the last one, and as many of its requests as fit. Without one, lines is 0.
func (l *lister) draw(found listing, lines int, first bool) error {
	if l.out.format == "json" {
		return l.print(l.streams.Out, found)
	}
	var text bytes.Buffer // At once, so that a terminal does not flicker.
	if lines > 0 {
		text.WriteString("\x1b[H\x1b[2J")
	} else if !first {
		text.WriteString("\n")
	}
	all := found.requests
	fmt.Fprintf(&text, "%s, %s: %s", clock(found.now), l.place(), many(len(all), "request"))
	// Beside them there are this line, the table's head, and where the cursor stands.
	if fit := max(1, lines-3); lines > 0 && len(all) > fit {
		fmt.Fprintf(&text, ", of which %d fit", fit)
		found.requests = all[:fit]
	}
	text.WriteString("\n")
	if len(all) > 0 {
		if err := l.print(&text, found); err != nil {
			return err
		}
	}
	_, err := text.WriteTo(l.streams.Out)
	return err
}

// height is how many lines a terminal has; 0 if it is none, or does not say.
func height(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	_, lines, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return lines
}
