package cmd

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"

	"onefire/dedup"
	"onefire/mapping"
)

// requestRow is a request for programs: flat, with the same keys each time. A time that
// does not exist is null.
type requestRow struct {
	Namespace   string           `json:"namespace"`
	Name        string           `json:"name"`
	Fingerprint string           `json:"fingerprint"`
	State       dedup.State      `json:"state"`
	Open        bool             `json:"open"`
	Alertname   string           `json:"alertname"`
	Severity    mapping.Severity `json:"severity"`
	Cluster     string           `json:"cluster"`

	TargetAPIVersion string `json:"targetApiVersion"`
	TargetKind       string `json:"targetKind"`
	TargetNamespace  string `json:"targetNamespace"`
	TargetName       string `json:"targetName"`

	Phase   string `json:"phase"`
	Outcome string `json:"outcome"`
	Count   int32  `json:"count"`
	// Folded is how many other alerts the request names. FoldedMore tells that it counts
	// more than it names.
	Folded     int  `json:"folded"`
	FoldedMore bool `json:"foldedMore"`
	Foreign    bool `json:"foreign"`

	FiringAt   *time.Time `json:"firingAt"`
	CreatedAt  *time.Time `json:"createdAt"`
	LastSeenAt *time.Time `json:"lastSeenAt"`
	ResolvedAt *time.Time `json:"resolvedAt"`
	QuietUntil *time.Time `json:"quietUntil"`
}

func requestRows(requests []dedup.Request) []requestRow {
	all := make([]requestRow, len(requests)) // an empty list in JSON, not null
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	for i, r := range requests {
		all[i] = requestRow{
			Namespace: r.Namespace, Name: r.Name, Fingerprint: r.Fingerprint, State: r.State, Open: r.Open,
			Alertname: r.Alertname, Severity: r.Severity, Cluster: r.Cluster,
			TargetAPIVersion: r.Target.APIVersion, TargetKind: r.Target.Kind, TargetNamespace: r.Target.Namespace, TargetName: r.Target.Name,
			Phase: r.Phase, Outcome: r.Outcome, Count: r.Count, Folded: r.Folded, FoldedMore: r.FoldedMore, Foreign: !r.Ours,
			FiringAt: at(r.FiringAt), CreatedAt: at(r.Created), LastSeenAt: at(r.LastSeen), ResolvedAt: at(r.Resolved), QuietUntil: at(r.QuietUntil),
		}
	}
	return all
}

// requestTable prints requests for people. With wide it adds when a request was resolved,
// its namespace and its name, and cuts nothing.
func requestTable(w io.Writer, found listing, wide bool) {
	cells := [][]string{{"FINGERPRINT", "STATE", "SEVERITY", "ALERT", "ALSO", "TARGET", "PHASE", "COUNT", "SEEN", "AGE"}}
	if wide {
		cells[0] = append(cells[0], "RESOLVED", "NAMESPACE", "NAME")
	}
	for _, r := range found.requests {
		line := []string{
			r.Fingerprint[:min(shownFingerprint, len(r.Fingerprint))], string(r.State), string(r.Severity), r.Alertname, also(r), targetOf(r), r.Phase,
			strconv.Itoa(int(r.Count)), age(found.now, r.LastSeen), age(found.now, r.Created),
		}
		if wide {
			line = append(line, age(found.now, r.Resolved), r.Namespace, r.Name)
		}
		for i := range line {
			line[i] = printable(dash(line[i]))
		}
		cells = append(cells, line)
	}
	if !wide {
		fit(cells)
	}
	for _, line := range cells {
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
}

// also is how many other alerts are counted on a request.
func also(r dedup.Request) string {
	switch {
	case r.FoldedMore:
		return fmt.Sprintf("+%d+", r.Folded)
	case r.Folded > 0:
		return fmt.Sprintf("+%d", r.Folded)
	}
	return ""
}

// targetOf is namespace/kind/name. The name of an unknown target is left out, because it
// is a hash.
func targetOf(r dedup.Request) string {
	t := r.Target
	switch t.Kind {
	case "":
		return ""
	case mapping.KindUnknown:
		return "no object"
	}
	text := t.Kind + "/" + t.Name
	if t.Namespace != "" {
		text = t.Namespace + "/" + text
	}
	if r.Cluster != "" {
		text = r.Cluster + ":" + text
	}
	return text
}

// age is how long ago a time was, in kubectl's form.
func age(now, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return duration.HumanDuration(max(0, now.Sub(at)))
}

// narrowing tells which columns are cut, and to how many characters, while a table is
// wider than tableWidth. The least important columns come first.
var narrowing = []struct{ column, width int }{{6, 12}, {5, 28}, {3, 20}, {2, 8}, {5, 20}, {3, 12}}

// fit cuts the cells of a table until it is narrow enough.
func fit(cells [][]string) {
	wide := make([]int, len(cells[0]))
	all := -columnGap
	for i := range wide {
		for _, line := range cells {
			wide[i] = max(wide[i], utf8.RuneCountInString(line[i]))
		}
		all += wide[i] + columnGap
	}
	for _, n := range narrowing {
		over := min(all-tableWidth, wide[n.column]-n.width)
		if over <= 0 {
			continue
		}
		all, wide[n.column] = all-over, wide[n.column]-over
		for _, line := range cells {
			line[n.column] = cut(line[n.column], wide[n.column])
		}
	}
}
