package cmd

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"onefire/mapping"
)

// maxShown is how much of a label set a finding shows, in characters.
const maxShown = 120

// print prints a report for people.
func (r report) print(w io.Writer) {
	fmt.Fprintln(w, "ALERT / TARGET\tLABEL SETS\tFIRES\tOBJECTS\tREPEATS\tCHOSEN BY")
	for _, rule := range r.Rules {
		row(w, dash(rule.Alertname), rule.counts, rule.sum())
		for _, t := range first(rule.Targets, shownTargets) {
			row(w, "  "+t.name(), t.counts, t.how())
		}
	}
	row(w, "TOTAL", r.Total, "")
}

func row(w io.Writer, name string, c counts, last string) {
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d", printable(name), c.LabelSets, c.Fires, c.Objects, c.Repeats)
	if last != "" {
		fmt.Fprint(w, "\t", printable(last))
	}
	fmt.Fprintln(w)
}

// sum is a short description of the targets of a rule's alerts.
func (r rule) sum() string {
	targets := r.OtherTargets
	for _, t := range r.Targets {
		if t.Kind != mapping.KindUnknown {
			targets++
		}
	}
	var all []string
	switch {
	case len(r.Targets) > shownTargets:
		all = append(all, fmt.Sprintf("%s, %d shown", many(targets, "target"), shownTargets))
	case targets == 0 && len(r.Targets) > 0:
		all = append(all, "no target")
	case targets > 0:
		all = append(all, many(targets, "target"))
	}
	if r.Filtered > 0 {
		all = append(all, fmt.Sprintf("%s filtered: %s", many(r.Filtered, "fire"), strings.Join(r.Reasons, ", ")))
	}
	return strings.Join(all, "; ")
}

func (a aimed) name() string {
	if a.Kind == mapping.KindUnknown {
		return "no Kubernetes object"
	}
	if a.Cluster != "" {
		return fmt.Sprintf("%s (cluster %s)", a.target, a.Cluster)
	}
	return a.String()
}

func (a aimed) how() string {
	if a.Owner != "" {
		return fmt.Sprintf("%s (owner: %s)", dash(a.ChosenBy), a.Owner)
	}
	return dash(a.ChosenBy)
}

// head prints the query and the configuration.
func (r report) head(w io.Writer) {
	fmt.Fprintf(w, "What fired from %s to %s, a sample each %s; the first sample is from %s.\n", clock(r.From), clock(r.To), r.Step, clock(r.FirstSample))
	fmt.Fprintf(w, "A pause of more than %s ends a fire. A fire is one notification, and one more each %s. An object ends with the last of its alerts.\n\n", r.Gap, r.RepeatInterval)
}

// advise prints the findings.
func (r report) advise(w io.Writer) {
	if len(r.Findings) == 0 {
		fmt.Fprintln(w, "\nNothing to look at.")
		return
	}
	fmt.Fprintln(w, "\nWhat to look at:")
	for _, f := range r.Findings {
		fmt.Fprintf(w, "- %s: %s.\n", printable(dash(f.Alertname)), printable(f.Text))
	}
}

// first returns the first n elements of a list.
func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }

// many is a number with its unit in singular or plural.
func many(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// list names the first few of some texts, and the number of the others.
func list(all []string) string {
	some := first(all, maxExamples)
	if others := len(all) - len(some); others > 0 {
		return fmt.Sprintf("%s and %s", strings.Join(some, ", "), many(others, "other"))
	}
	return strings.Join(some, ", ")
}

// shown is a label set in PromQL's form, without its alertname, and shortened.
func shown(labels map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "alertname" {
			all = append(all, name+"="+strconv.Quote(labels[name]))
		}
	}
	s := "{" + strings.Join(all, ", ") + "}"
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "…"
	}
	return s
}

// cut shortens a text to limit characters.
func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}
