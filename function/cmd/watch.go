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

// watch lists again and again until the context ends. On a terminal it draws the table
// anew each time, so that ages are current. Elsewhere, and as JSON, it prints a listing
// only if something other than an age has changed.
//
// It reads all pages each time, although a Kubernetes watch would get only the changes.
// That is simpler: a Kubernetes watch must begin anew with a List whenever its connection
// or its revision is lost. A large listing is read less often, which limits the load.
//
// It fails if the first listing cannot be read. After that it prints the error and tries
// again, because somebody may be waiting for an API server that restarts.
func (l *lister) watch(ctx context.Context) error {
	var shown []dedup.Request
	said := ""
	for first := true; ctx.Err() == nil; {
		began, lines := time.Now(), height(l.streams.Out)
		found, err := l.read(ctx)
		switch {
		case ctx.Err() != nil: // It was cancelled.
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
		_ = l.pause(ctx, pauseAfter(time.Since(began))) // The loop checks the context.
	}
	return nil
}

// pauseAfter is the pause after a listing that took this long.
func pauseAfter(took time.Duration) time.Duration { return max(watchEvery, watchShare*took) }

// draw prints one of several listings. On a terminal with so many lines it replaces the
// last one, and shows as many requests as fit. Without a terminal, lines is 0.
func (l *lister) draw(found listing, lines int, first bool) error {
	if l.out.format == "json" {
		return l.print(l.streams.Out, found)
	}
	var text bytes.Buffer // one write, so that a terminal does not flicker
	if lines > 0 {
		text.WriteString("\x1b[H\x1b[2J")
	} else if !first {
		text.WriteString("\n")
	}
	all := found.requests
	fmt.Fprintf(&text, "%s, %s: %s", clock(found.now), l.location(), many(len(all), "request"))
	// Three lines are needed for this note, the table's head, and the cursor.
	if fit := max(1, lines-3); lines > 0 && len(all) > fit {
		fmt.Fprintf(&text, ", of which %d fit", fit)
		found.requests = all[:fit]
	}
	text.WriteString("\n")
	if len(all) > 0 {
		_ = l.print(&text, found) // A buffer takes everything.
	}
	_, err := text.WriteTo(l.streams.Out)
	return err
}

// height is how many lines a terminal has; 0 if w is not a terminal or its height is
// unknown.
func height(w io.Writer) int {
	f, _ := w.(*os.File) // A writer that is no file has no size.
	_, lines, _ := term.GetSize(int(f.Fd()))
	return lines
}
