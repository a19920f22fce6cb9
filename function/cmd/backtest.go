package cmd

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// backtest is what the flags say about the history to examine.
type backtest struct {
	url, tokenFile, caFile string
	header                 http.Header
	since, step, repeat    time.Duration
	externalLabels         map[string]string
	dropLabels             []string
	fail                   bool
	now                    func() time.Time
}

// backtestFlags adds the flags of a backtest.
func backtestFlags(f *flag.FlagSet) *backtest {
	b := &backtest{
		header: http.Header{}, since: 30 * 24 * time.Hour, step: time.Minute, repeat: 4 * time.Hour,
		externalLabels: map[string]string{}, now: time.Now,
	}
	f.StringVar(&b.url, "prometheus", "", "look at what fired in the Prometheus at this `URL`, in place of a file")
	span := func(name, usage string, into *time.Duration) {
		f.Func(name, usage, func(text string) (err error) {
			*into, err = parseSpan(text)
			return err
		})
	}
	span("since", "how far back, a `time` such as 36h or 2w (default 30d)", &b.since)
	span("step", "the `time` between two samples (default 1m)", &b.step)
	span("repeat-interval", "Alertmanager's repeat_interval, a `time` (default 4h)", &b.repeat)
	f.StringVar(&b.tokenFile, "token-file", "", "a `file` with a bearer token for Prometheus")
	f.StringVar(&b.caFile, "ca-file", "", "a `file` with certificates in PEM that are trusted beside the system's")
	f.Func("header", "send `name:value` with each query, such as X-Scope-OrgID:ops; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return errors.New("use name:value")
		}
		b.header.Add(name, strings.TrimSpace(value))
		return nil
	})
	f.Func("external-labels", "`name=value,…` that alerts get where they have no label of that name", func(text string) error {
		for pair := range strings.SplitSeq(text, ",") {
			name, value, _ := strings.Cut(pair, "=")
			if name == "" || value == "" {
				return errors.New("use name=value,…")
			}
			b.externalLabels[name] = value
		}
		return nil
	})
	f.Func("drop-labels", "`name,…` of labels that Alertmanager does not get, such as those of a replica", func(text string) error {
		b.dropLabels = append(b.dropLabels, strings.Split(text, ",")...)
		return nil
	})
	f.BoolVar(&b.fail, "fail", false, "exit with status 3 if there is something to look at")
	return b
}

// problem describes what is wrong with the arguments; it is empty if they are right.
func (b *backtest) problem(f *flag.FlagSet) (problem string) {
	if b.url == "" {
		f.Visit(func(one *flag.Flag) {
			if one.Name != "o" && one.Name != "kubeconfig" {
				problem = fmt.Sprintf("-%s belongs to -prometheus URL", one.Name)
			}
		})
		if problem == "" && f.NArg() != 1 {
			problem = "name one FILE, or - for standard input, or a Prometheus with -prometheus"
		}
		return problem
	}
	switch {
	case f.NArg() > 0:
		return "with -prometheus there is no FILE"
	case b.step%time.Second != 0 || b.step > maxSpan: // A part of a second is no whole one.
		return "-step: use whole seconds, from 1s to 1d"
	case b.since < b.step:
		return "-since: use more than the -step"
	case b.repeat < time.Minute:
		return "-repeat-interval: use 1m or more"
	}
	return ""
}

var days = regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,5})d)?`)

// parseSpan reads a duration in Go's form, which may begin with weeks (w) and days (d).
func parseSpan(text string) (time.Duration, error) {
	m := days.FindStringSubmatch(text)
	var all time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour} {
		n, _ := strconv.Atoi(m[i+1]) // zero without digits
		all += time.Duration(n) * unit
	}
	if rest := text[len(m[0]):]; rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil {
			return 0, errors.New("use a time such as 30d, 2w, 36h or 1m")
		}
		all += more
	}
	if all <= 0 {
		return 0, errors.New("use a time above zero")
	}
	return all, nil
}

// span writes a duration in the form that [parseSpan] reads.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if d%time.Minute == 0 {
		s = strings.TrimSuffix(s, "0s")
	}
	if d%time.Hour == 0 {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// read asks Prometheus for the history.
func (b *backtest) read(ctx context.Context, w io.Writer) (h *history, from, to time.Time, err error) {
	p, err := newPrometheus(b.url, b.tokenFile, b.caFile, b.header, b.step)
	if err != nil {
		return nil, from, to, err
	}
	// Some servers round the times of a query to multiples of the step, so these are
	// multiples.
	to = b.now().Truncate(b.step)
	from = to.Add(-b.since).Truncate(b.step)
	h = newHistory(b.step, b.externalLabels, b.dropLabels)
	shown := newProgress(w, from, to, b.now)
	r := reader{
		step: b.step, ask: p.ask, done: func(upTo time.Time) { shown.done(upTo, len(h.sets)) }, take: h.taking(shown),
	}
	err = r.read(ctx, from, to)
	shown.end()
	switch {
	case err != nil:
	case len(h.sets) == 0:
		err = fmt.Errorf("%s has no %s since %s: either no alert fired, which is rare where a Watchdog is; "+
			"or the rules run in another Prometheus or in Thanos' or Mimir's ruler, which is then the one to ask", p.url.Host, query, clock(from))
	}
	return h, from, to, err
}

// taking adds answers to a history. It prints each warning of the server once.
func (h *history) taking(shown *progress) func(answer) error {
	warned := map[string]bool{}
	return func(a answer) error {
		if a.IsPartial {
			a.Warnings = append(a.Warnings, "some of the storage did not answer: the history has gaps")
		}
		for _, warning := range a.Warnings {
			if !warned[warning] && len(warned) < maxExamples {
				warned[warning] = true
				shown.end()
				fmt.Fprintf(shown.w, "onefire: the server warns: %s\n", printable(warning))
			}
		}
		return h.addSeries(a.Data.Result)
	}
}

// byLast sorts label sets, those that fired last first.
func byLast(all []*mapped) []*mapped {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b *mapped) int { return cmp.Compare(b.last(), a.last()) })
	return sorted
}
