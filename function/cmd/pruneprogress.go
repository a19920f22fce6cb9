package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// pruneProgress says on a terminal how far a run is, in one line.
type pruneProgress struct {
	w    io.Writer // Nil where nobody looks.
	said time.Time
	open bool
}

func newPruneProgress(w io.Writer) *pruneProgress {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return &pruneProgress{w: w}
		}
	}
	return &pruneProgress{}
}

func (p *pruneProgress) say(name string, did pruneCounts, dry bool) {
	if p.w == nil || time.Since(p.said) < progressEvery {
		return
	}
	p.said, p.open = time.Now(), true
	verb := "deleted"
	if dry {
		verb = "would be deleted"
	}
	fmt.Fprintf(p.w, "\ronefire: %s: %d read, %d %s\x1b[K", strings.ReplaceAll(name, "_", " "), did.read, did.deleted, verb)
}

// end clears the line.
func (p *pruneProgress) end() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}
