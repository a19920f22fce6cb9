package cmd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"onefire/mapping"
)

// The kinds of findings.
const (
	// findingNoObject: the labels do not name a Kubernetes object.
	findingNoObject = "noObject"
	// findingFolds: different label sets were counted on one object.
	findingFolds = "folds"
	// findingBadName: a label has a value that cannot be the name of a Kubernetes object.
	findingBadName = "badName"
	// findingMissing: the target does not exist now.
	findingMissing = "missing"
)

// finding is something that a person should check, for one rule.
type finding struct {
	Alertname string `json:"alertname"`
	Finding   string `json:"finding"`
	// LabelSets is how many label sets of the rule the finding is about.
	LabelSets int `json:"labelSets"`
	// Labels are the names of the labels that differ, or name="value" for labels with a
	// bad value.
	Labels []string `json:"labels,omitempty"`
	// FoldsWith are the other rules whose alerts were counted on the same objects.
	FoldsWith []string `json:"foldsWith,omitempty"`
	// Targets are the first targets of the finding, and OtherTargets is how many more
	// there are.
	Targets      []target `json:"targets,omitempty"`
	OtherTargets int      `json:"otherTargets,omitempty"`
	Text         string   `json:"text"`
}

// aboutNames finds the rules without an object, and the labels whose value cannot be the
// name of one.
func aboutNames(all []*mapped) (findings []finding) {
	for name, sets := range byRule(all) {
		var without []*mapped
		bad := unique[string]{}
		badSets := 0
		for _, p := range sets {
			if p.signal.Target.Kind == mapping.KindUnknown {
				without = append(without, p)
			}
			for _, label := range p.bad {
				bad.add(fmt.Sprintf("%s=%q", label, p.labels[label]))
			}
			badSets += min(1, len(p.bad))
		}
		if len(without) > 0 {
			findings = append(findings, finding{
				Alertname: name, Finding: findingNoObject, LabelSets: len(without),
				Text: fmt.Sprintf("no Kubernetes object is named by %d of %s, such as %s: name it with the labels onefire_kind and onefire_name in the rule, or with TARGETS",
					len(without), many(len(sets), "label set"), shown(without[0].labels)),
			})
		}
		if len(bad) > 0 {
			labels := slices.Sorted(maps.Keys(bad))
			findings = append(findings, finding{
				Alertname: name, Finding: findingBadName, LabelSets: badSets, Labels: first(labels, maxTargets),
				Text: fmt.Sprintf("no Kubernetes object can have the name in %s: correct what the rule or its metric writes there", list(labels)),
			})
		}
	}
	return findings
}

// folded describes how the alerts of one rule were counted together.
type folded struct {
	sets    unique[*mapped]
	differ  unique[string]
	with    unique[string]
	targets unique[target]
	objects int
}

// unique is values without their repetitions.
type unique[T comparable] map[T]struct{}

func (u unique[T]) add(one T) { u[one] = struct{}{} }

// aboutFolds finds the rules with different label sets that were counted on one object,
// with each other or with those of other rules.
func aboutFolds(objects []*object) (findings []finding) {
	rules := map[string]*folded{}
	for _, o := range objects {
		if len(o.sets) < 2 {
			continue
		}
		for name, sets := range byRule(o.sets) {
			f := rules[name]
			if f == nil {
				f = &folded{sets: unique[*mapped]{}, differ: unique[string]{}, with: unique[string]{}, targets: unique[target]{}}
				rules[name] = f
			}
			f.objects++
			f.targets.add(target(sets[0].signal.Target))
			for _, p := range sets {
				f.sets.add(p)
				addDiffering(f.differ, p.labels, sets[0].labels)
			}
			for _, p := range o.sets {
				if other := p.labels["alertname"]; other != name {
					f.with.add(other)
				}
			}
		}
	}
	for name, f := range rules {
		labels, with := slices.Sorted(maps.Keys(f.differ)), slices.Sorted(maps.Keys(f.with))
		one := finding{Alertname: name, Finding: findingFolds, LabelSets: len(f.sets), Labels: labels, FoldsWith: first(with, maxTargets)}
		one.about(slices.Collect(maps.Keys(f.targets)))
		one.Text = fmt.Sprintf("%s on %s became %s", many(len(f.sets), "label set"), one.named(), many(f.objects, "object"))
		if len(labels) > 0 {
			one.Text += ": they differ in " + list(labels)
		}
		if len(with) > 0 {
			one.Text += "; other rules share them: " + list(with)
		}
		findings = append(findings, one)
	}
	return findings
}

// addDiffering adds the names of the labels that are not the same in two label sets.
func addDiffering(names unique[string], a, b map[string]string) {
	for _, labels := range []map[string]string{a, b} {
		for name := range labels {
			if a[name] != b[name] {
				names.add(name)
			}
		}
	}
}

// gone is a target that does not exist now, and when an alert on it last fired.
type gone struct {
	target
	last int64
}

// aboutMissing finds the rules whose targets do not exist now. looked is how many targets
// of each rule were looked up.
func aboutMissing(missing map[string][]gone, looked map[string]int) (findings []finding) {
	for name, some := range missing {
		f := finding{Alertname: name, Finding: findingMissing, LabelSets: len(some)}
		targets := make([]target, len(some))
		last := some[0].last
		for i, g := range some {
			targets[i], last = g.target, max(last, g.last)
		}
		f.about(targets)
		f.Text = fmt.Sprintf("%d of the %s that fired last do not exist now: %s; the last of them burned until %s",
			len(some), many(looked[name], "target"), f.named(), clock(time.UnixMilli(last)))
		findings = append(findings, f)
	}
	return findings
}

// about sets the targets of a finding.
func (f *finding) about(targets []target) {
	slices.SortFunc(targets, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	f.Targets = first(targets, maxTargets)
	f.OtherTargets = len(targets) - len(f.Targets)
}

// named lists the targets of a finding in a sentence.
func (f *finding) named() string {
	all := make([]string, 0, len(f.Targets)+f.OtherTargets)
	for _, t := range f.Targets {
		all = append(all, t.String())
	}
	return list(append(all, make([]string, f.OtherTargets)...))
}

// byRule groups label sets by their alertname. Filtered label sets are left out.
func byRule(all []*mapped) map[string][]*mapped {
	rules := map[string][]*mapped{}
	for _, p := range all {
		if p.reason == 0 {
			rules[p.labels["alertname"]] = append(rules[p.labels["alertname"]], p)
		}
	}
	return rules
}
