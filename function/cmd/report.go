package cmd

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"onefire/function/kube"
	"onefire/mapping"
)

// report is the result of a backtest.
type report struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// FirstSample is the earliest sample. Older samples that Prometheus has deleted
	// cannot be told from alerts that never fired.
	FirstSample time.Time `json:"firstSample"`
	Step        string    `json:"step"`
	// Gap is the longest pause between two samples of one fire.
	Gap            string    `json:"gap"`
	RepeatInterval string    `json:"repeatInterval"`
	Rules          []rule    `json:"rules"`
	Total          counts    `json:"total"`
	Findings       []finding `json:"findings"`
}

// counts are the totals of a rule, a target or the whole history.
type counts struct {
	LabelSets int `json:"labelSets"`
	Fires     int `json:"fires"`
	// Objects are the RemediationRequests that would have been made. Repeats are the
	// notifications that would have been counted on an existing one.
	Objects int `json:"objects"`
	Repeats int `json:"repeats"`
	// Filtered is how many of the fires the configuration filters.
	Filtered int `json:"filtered"`
}

func (c *counts) add(p *mapped) {
	c.LabelSets++
	c.Fires += len(p.fires)
	c.Objects += p.made
	c.Repeats += p.repeated
	if p.reason != 0 {
		c.Filtered += len(p.fires)
	}
}

// rule is the result for the alerts with one name.
type rule struct {
	Alertname string `json:"alertname"`
	counts
	// Reasons are why fires were filtered.
	Reasons []string `json:"reasons,omitempty"`
	// Targets are the targets with the most fires, and OtherTargets is how many more
	// there are.
	Targets      []aimed `json:"targets,omitempty"`
	OtherTargets int     `json:"otherTargets,omitempty"`
}

// aimed is a target of the alerts of one rule.
type aimed struct {
	target
	// Cluster is the alerts' own cluster label.
	Cluster  string           `json:"cluster,omitempty"`
	ChosenBy string           `json:"chosenBy,omitempty"`
	Owner    kube.OwnerResult `json:"owner,omitempty"`
	counts
}

// where distinguishes the targets of a rule.
type where struct {
	target
	cluster, chosenBy string
	owner             kube.OwnerResult
}

// whereOf is the target of a label set. All label sets that name no Kubernetes object
// count as one target, because the name of such a target is a hash of the label set.
func whereOf(p *mapped) where {
	t := target(p.signal.Target)
	if t.Kind == mapping.KindUnknown {
		t = target{Kind: t.Kind}
	}
	return where{t, p.signal.Cluster, p.signal.Chosen, p.how}
}

// summarise adds up what a simulation noted on label sets.
func summarise(all []*mapped) (rules []rule, total counts) {
	byName := map[string][]*mapped{}
	for _, p := range all {
		total.add(p)
		byName[p.labels["alertname"]] = append(byName[p.labels["alertname"]], p)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		r := rule{Alertname: name}
		targets := map[where]*aimed{}
		for _, p := range byName[name] {
			r.add(p)
			if p.reason != 0 {
				if reason := p.reason.String(); !slices.Contains(r.Reasons, reason) {
					r.Reasons = append(r.Reasons, reason)
				}
				continue
			}
			w := whereOf(p)
			if targets[w] == nil {
				targets[w] = &aimed{target: w.target, Cluster: w.cluster, ChosenBy: w.chosenBy, Owner: w.owner}
			}
			targets[w].add(p)
		}
		for _, t := range targets {
			r.Targets = append(r.Targets, *t)
		}
		slices.Sort(r.Reasons)
		slices.SortFunc(r.Targets, func(a, b aimed) int {
			return cmp.Or(cmp.Compare(b.Fires, a.Fires), cmp.Compare(a.String(), b.String()), cmp.Compare(a.Cluster, b.Cluster),
				cmp.Compare(a.ChosenBy, b.ChosenBy), cmp.Compare(a.Owner, b.Owner))
		})
		if r.OtherTargets = max(0, len(r.Targets)-maxTargets); r.OtherTargets > 0 {
			r.Targets = r.Targets[:maxTargets]
		}
		rules = append(rules, r)
	}
	slices.SortStableFunc(rules, func(a, b rule) int {
		return cmp.Or(cmp.Compare(b.Objects, a.Objects), cmp.Compare(b.Repeats, a.Repeats))
	})
	return rules, total
}
