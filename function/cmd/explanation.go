package cmd

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"onefire/function/kube"
	"onefire/mapping"
)

// explanation tells what would become of one alert.
type explanation struct {
	Alertname     string           `json:"alertname"`
	Status        string           `json:"status"`
	Severity      mapping.Severity `json:"severity"`
	SeverityLabel string           `json:"severityLabel,omitempty"`
	Target        target           `json:"target"`
	// ChosenBy names the rule that chose the target; it is empty if the labels name no
	// Kubernetes object.
	ChosenBy string `json:"chosenBy,omitempty"`
	// Owner tells how the target was found with TARGET=owner.
	Owner       kube.OwnerResult `json:"owner,omitempty"`
	Fingerprint string           `json:"fingerprint"`
	Decision    mapping.Decision `json:"decision"`
	Reason      string           `json:"reason"`
	// Object is "namespace/name"; it is empty if there would be no object.
	Object string `json:"object,omitempty"`
	Count  int32  `json:"count,omitempty"`
	// FoldsWith are the names and severities of other alerts that would be counted on the
	// same object.
	FoldsWith []named `json:"foldsWith,omitempty"`
	Error     string  `json:"error,omitempty"`
}

// target is a [mapping.Target] as it is printed.
type target struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	Name       string `json:"name,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
}

func (t target) String() string {
	s := t.Kind + "/" + t.Name
	if t.Namespace != "" {
		s += " in " + t.Namespace
	}
	return s
}

// named is the name and severity of an alert.
type named struct {
	Alertname string           `json:"alertname"`
	Severity  mapping.Severity `json:"severity"`
}

func (n named) String() string { return fmt.Sprintf("%s (%s)", dash(n.Alertname), n.Severity) }

// fold notes which alerts with different names or severities would be counted on one
// object, and returns a line for each such object.
func fold(all []explanation) (lines []string) {
	alerts := map[string][]named{}
	var objects []string
	counted := func(e explanation) bool { return e.Decision == mapping.New || e.Decision == mapping.Duplicate }
	for _, e := range all {
		n := named{e.Alertname, e.Severity}
		if !counted(e) || slices.Contains(alerts[e.Object], n) {
			continue
		}
		if alerts[e.Object] = append(alerts[e.Object], n); len(alerts[e.Object]) == 2 {
			objects = append(objects, e.Object)
		}
	}
	for i, e := range all {
		if own := (named{e.Alertname, e.Severity}); counted(e) {
			all[i].FoldsWith = slices.DeleteFunc(slices.Clone(alerts[e.Object]), func(n named) bool { return n == own })
		}
	}
	for _, object := range objects {
		names := make([]string, len(alerts[object]))
		for i, n := range alerts[object] {
			names[i] = n.String()
		}
		lines = append(lines, fmt.Sprintf("%s fold into the same object: %s", strings.Join(names, ", "), object))
	}
	return lines
}

func table(w io.Writer, all []explanation) {
	fmt.Fprintln(w, "ALERT\tSEVERITY\tTARGET\tCHOSEN BY\tFINGERPRINT\tDECISION\tOBJECT\tCOUNT")
	for _, e := range all {
		severity := string(e.Severity)
		if label := strings.TrimSpace(e.SeverityLabel); label != "" && label != severity {
			severity += " (" + label + ")"
		}
		target := e.Target.String()
		if e.Owner != "" {
			target += " (" + string(e.Owner) + ")"
		}
		count := "-"
		if e.Count > 0 {
			count = strconv.Itoa(int(e.Count))
		}
		decision := fmt.Sprintf("%s (%s)", e.Decision, e.Reason)
		if e.Error != "" {
			decision = fmt.Sprintf("%s: %s", e.Decision, e.Error)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(dash(e.Alertname)), printable(severity), printable(target), printable(dash(e.ChosenBy)),
			e.Fingerprint[:12], printable(decision), dash(e.Object), count)
	}
}

// printable removes characters that would control a terminal or break the table.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
