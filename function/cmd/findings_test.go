package cmd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// unknown is the target of alerts that name no Kubernetes object.
func unknown(name string) mapping.Target {
	return mapping.Target{Kind: mapping.KindUnknown, Name: name}
}

// found are the findings of a kind, by their rule.
func (r report) found(kind string) map[string]finding {
	all := map[string]finding{}
	for _, f := range r.Findings {
		if f.Finding == kind {
			all[f.Alertname] = f
		}
	}
	return all
}

// bad is a label set with labels that have a wrong value.
func bad(name string, labels ...string) *mapped {
	p := set(name, unknown(name+strings.Join(labels, "")), "", "0-10", labels...)
	for i := 0; i < len(labels); i += 2 {
		p.bad = append(p.bad, labels[i])
	}
	return p
}

func TestEachLabelWithAWrongNameIsSaid(t *testing.T) {
	all := []*mapped{bad("A", "pod", "a b", "node", "c d"), bad("A", "pod", "e f"), bad("B", "pod", "g h")}
	for i := range maxTargets + 1 {
		all = append(all, bad("Many", "pod", fmt.Sprintf("%02d ", i)))
	}
	r := evaluate(all, time.Hour)
	names := r.found(findingBadName)
	require.Len(t, names, 3)
	require.Equal(t, []string{`node="c d"`, `pod="a b"`, `pod="e f"`}, names["A"].Labels)
	require.Equal(t, 2, names["A"].LabelSets, "a label set counts once")
	require.Equal(t, []string{`pod="g h"`}, names["B"].Labels)
	require.Len(t, names["Many"].Labels, maxTargets)
	require.Equal(t, maxTargets+1, names["Many"].LabelSets)
	require.Contains(t, names["Many"].Text, "and 48 others: correct what")
	require.Len(t, r.found(findingNoObject), 3)

	sortFindings(r.Findings)
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Finding+" "+f.Alertname)
	}
	require.Equal(t, []string{"noObject A", "noObject B", "noObject Many", "badName A", "badName B", "badName Many"}, got)
}

func TestWhatFoldsSaysInWhatItDiffers(t *testing.T) {
	all := []*mapped{
		set("A", pod("p"), "", "0-10", "container", "x", "disk", "sda", "team", "a", "same", "s"),
		set("A", pod("p"), "", "0-10", "container", "y", "team", "a", "zone", "z", "same", "s"),
		set("A", pod("p"), "", "0-10 11-20", "container", "y", "team", "b", "same", "s"),
	}
	f := evaluate(all, time.Hour).found(findingFolds)["A"]
	require.Equal(t, []string{"container", "disk", "team", "zone"}, f.Labels)
	require.Equal(t, "3 label sets on Pod/p in shop became 1 object: they differ in container, disk, team and 1 other", f.Text)

	// The fingerprint of a resource has no alertname, so that many rules share an object.
	all = nil
	for i := range maxTargets + 2 {
		one := set(fmt.Sprintf("Rule%02d", i), pod("p"), "", "0-10")
		one.signal.Fingerprint = "p"
		all = append(all, one)
	}
	f = evaluate(all, time.Hour).found(findingFolds)["Rule00"]
	require.Len(t, f.FoldsWith, maxTargets)
	require.Equal(t, "1 label set on Pod/p in shop became 1 object; other rules share them: Rule01, Rule02, Rule03 and 48 others", f.Text)
}

func TestTheTargetsThatDoNotExistAreSaidForEachRule(t *testing.T) {
	at := start.UnixMilli()
	findings := aboutMissing(map[string][]gone{
		"A": {{target(pod("p")), at}}, "B": {{target(pod("p")), at - 1000}, {target(pod("q")), at}, {target(pod("r")), at - 2000}},
	}, map[string]int{"A": 1, "B": 7})
	r := report{Findings: findings}
	require.Len(t, findings, 2)
	require.Equal(t, "1 of the 1 target that fired last do not exist now: Pod/p in shop; the last of them burned until "+clock(start), r.found(findingMissing)["A"].Text)
	require.Equal(t, "3 of the 7 targets that fired last do not exist now: Pod/p in shop, Pod/q in shop, Pod/r in shop; the last of them burned until "+clock(start), r.found(findingMissing)["B"].Text)
}

func TestALabelSetIsOnceOnAnObject(t *testing.T) {
	objects := simulate([]*mapped{set("A", pod("p"), "", "0-10 25-40", "c", "x"), set("A", pod("p"), "", "5-30", "c", "y")}, time.Hour)
	require.Len(t, objects, 1)
	require.Len(t, objects[0].sets, 2)
}

func TestTheTargetsOfARuleAreInOrder(t *testing.T) {
	elsewhere := func(p *mapped, cluster, chosen string) *mapped {
		p.signal.Cluster, p.signal.Chosen, p.signal.Fingerprint = cluster, chosen, p.signal.Fingerprint+cluster+chosen
		return p
	}
	filtered := func(reason mapping.Reason) *mapped {
		p := set("A", pod("f"), "", "0-10")
		p.reason = reason
		return p
	}
	all := []*mapped{
		set("A", pod("c"), "", "0-10"), elsewhere(set("A", pod("b"), "", "0-10"), "us", ""), elsewhere(set("A", pod("b"), "", "0-10"), "eu", "x"),
		elsewhere(set("A", pod("b"), "", "0-10"), "eu", "y"), set("A", pod("d"), "", "0-10 20-30"), set("A", pod("a"), "", "0-10"),
		filtered(mapping.Unmatched), filtered(mapping.IgnoredSeverity), filtered(mapping.Unmatched), filtered(mapping.IgnoredAlertname),
	}
	for range 2 {
		rules, _ := summarise(all)
		require.Len(t, rules, 1)
		require.Equal(t, []string{"ignored_alertname", "ignored_severity", "unmatched"}, rules[0].Reasons)
		var names []string
		for _, one := range rules[0].Targets {
			names = append(names, one.name()+" "+one.how())
		}
		require.Equal(t, []string{
			"Pod/d in shop -", "Pod/a in shop -", "Pod/b in shop (cluster eu) x", "Pod/b in shop (cluster eu) y", "Pod/b in shop (cluster us) -", "Pod/c in shop -",
		}, names)
		slices.Reverse(all)
	}
}

func TestARuleListsTheTargetsThatFiredMost(t *testing.T) {
	var all []*mapped
	for i := range maxTargets {
		all = append(all, set("A", pod(fmt.Sprintf("p%02d", i)), "", "0-10"))
	}
	rules, _ := summarise(all)
	require.Len(t, rules[0].Targets, maxTargets)
	require.Zero(t, rules[0].OtherTargets)
	for _, more := range []string{"x", "y"} {
		all = append(all, set("A", pod(more), "", "0-10"))
		rules, _ = summarise(all)
		require.Len(t, rules[0].Targets, maxTargets)
		require.Equal(t, len(all)-maxTargets, rules[0].OtherTargets)
		require.Equal(t, "p49", rules[0].Targets[maxTargets-1].Name)
	}
	require.Equal(t, "52 targets, 3 shown", rules[0].sum())
	rules, _ = summarise(all[:shownTargets])
	require.Equal(t, "3 targets", rules[0].sum(), "all of them are shown")
	rules, _ = summarise(all[:shownTargets+1])
	require.Equal(t, "4 targets, 3 shown", rules[0].sum())
}

func TestLongTextsAreCut(t *testing.T) {
	require.Equal(t, "a, b, c", list([]string{"a", "b", "c"}))
	require.Equal(t, "a, b, c and 1 other", list([]string{"a", "b", "c", "d"}))
	fits := strings.Repeat("é", maxShown-len(`{a=""}`))
	require.Equal(t, `{a="`+fits+`"}`, shown(map[string]string{"alertname": "A", "a": fits}))
	require.Equal(t, `{a="`+fits+`é"…`, shown(map[string]string{"a": fits + "é"}))
	require.Equal(t, "éé", cut("éé", 2))
	require.Equal(t, "é…", cut("ééé", 2))
}
