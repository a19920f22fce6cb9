package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// statusLine is a line on a terminal that is overwritten again and again.
type statusLine struct {
	w io.Writer
	// line is set if there is no terminal: each text is then a line of its own.
	line bool
	now  func() time.Time
	said time.Time
	open bool
}

func newStatusLine(w io.Writer) statusLine {
	f, _ := w.(*os.File)
	info, err := f.Stat() // It fails if w is no file.
	return statusLine{w: w, line: err != nil || info.Mode()&os.ModeCharDevice == 0, now: time.Now}
}

// due tells whether the last text is older than every, and notes the time.
func (s *statusLine) due(every time.Duration) bool {
	now := s.now()
	if now.Sub(s.said) < every {
		return false
	}
	s.said = now
	return true
}

func (s *statusLine) print(text string) {
	if s.line {
		fmt.Fprintln(s.w, text)
		return
	}
	fmt.Fprintf(s.w, "\r%s\x1b[K", text)
	s.open = true
}

// end clears the line on a terminal.
func (s *statusLine) end() {
	if s.open {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.open = false
	}
}

// progress shows how much of a history was read.
type progress struct {
	statusLine
	from, to time.Time
}

func newProgress(w io.Writer, from, to time.Time, now func() time.Time) *progress {
	p := &progress{newStatusLine(w), from, to}
	p.now, p.said = now, now()
	return p
}

// done shows the progress, unless it was shown just now.
func (p *progress) done(upTo time.Time, labelSets int) {
	every := progressEvery
	if p.line {
		every = progressEveryLine
	}
	if !p.due(every) {
		return
	}
	percent := int(100 * float64(upTo.Sub(p.from)) / float64(p.to.Sub(p.from)))
	p.print(fmt.Sprintf("onefire: read up to %s, %d %%, %s", clock(upTo), percent, many(labelSets, "label set")))
}

// pruneProgress shows the progress of a prune on a terminal.
type pruneProgress struct{ statusLine }

func newPruneProgress(w io.Writer) *pruneProgress { return &pruneProgress{newStatusLine(w)} }

func (p *pruneProgress) report(name string, did pruneCounts, dry bool) {
	if p.line || !p.due(progressEvery) {
		return
	}
	verb := "deleted"
	if dry {
		verb = "would be deleted"
	}
	p.print(fmt.Sprintf("onefire: %s: %d read, %d %s", strings.ReplaceAll(name, "_", " "), did.read, did.deleted, verb))
}
