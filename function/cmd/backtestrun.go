package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/mapping"
)

// errFindings means that there are findings, and that the caller asked for an exit status
// that tells.
var errFindings = errors.New("there is something to look at")

// run reads the history, simulates what Onefire would have done, and prints the result.
func (b *backtest) run(ctx context.Context, c config.Config, server *rest.Config, o *output, s Streams) error {
	h, from, to, err := b.read(ctx, s.Err)
	if err != nil {
		return err
	}
	all, err := mapAll(ctx, c, server, h.sorted(), s.Err)
	if err != nil {
		return err
	}
	r := evaluate(all, b.repeat)
	r.From, r.To, r.FirstSample = from.UTC(), to.UTC(), time.UnixMilli(int64(h.first)).UTC()
	r.Step, r.Gap, r.RepeatInterval = span(b.step), span(time.Duration(h.gap)*time.Millisecond), span(b.repeat)
	if server != nil {
		missing, err := lookFor(ctx, server, all, s.Err)
		if err != nil {
			return err
		}
		r.Findings = append(r.Findings, missing...)
	}
	sortFindings(r.Findings)
	if o.format != "json" {
		r.head(s.Out)
	}
	if err := o.print(s.Out, r, r.print); err != nil {
		return err
	}
	if o.format != "json" {
		r.advise(s.Out)
	}
	if b.fail && len(r.Findings) > 0 {
		return errFindings
	}
	return nil
}

// evaluate runs the simulation, and returns its result and the findings.
func evaluate(all []*mapped, repeat time.Duration) report {
	objects := simulate(all, repeat)
	r := report{Findings: []finding{}} // an empty list in JSON, not null
	r.Findings = append(append(r.Findings, aboutNames(all)...), aboutFolds(objects)...)
	r.Rules, r.Total = summarise(all)
	return r
}

// sortFindings sorts findings in a fixed order.
func sortFindings(all []finding) {
	order := []string{findingNoObject, findingBadName, findingFolds, findingMissing}
	slices.SortFunc(all, func(a, b finding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Finding), slices.Index(order, b.Finding)), cmp.Compare(a.Alertname, b.Alertname))
	})
}

// mapAll finds the target and fingerprint of each label set. With a cluster, it looks up
// the owners and scope of those that fired last.
func mapAll(ctx context.Context, c config.Config, client *rest.Config, sets []*labelSet, w io.Writer) ([]*mapped, error) {
	all := make([]*mapped, len(sets))
	rules := c.Rules()
	for i, set := range sets {
		all[i] = &mapped{labelSet: set, bad: rules.BadNames(set.labels)}
		all[i].signal, all[i].reason, _ = mapAlert(rules, set.alert())
	}
	if client == nil {
		return all, nil
	}
	resolve, err := owners(client, c)
	if resolve == nil {
		return all, err
	}
	settled := slices.DeleteFunc(byLast(all), func(p *mapped) bool { return p.reason != 0 })
	if others := len(settled) - maxOwnersAsked; others > 0 {
		fmt.Fprintf(w, "onefire: %d label sets keep the targets of their labels, and are taken to be in the scope: the API server is asked only about those of the %d that fired last\n", others, maxOwnersAsked)
	}
	working, ctx := errgroup.WithContext(ctx)
	working.SetLimit(maxCalls)
	for _, p := range first(settled, maxOwnersAsked) {
		working.Go(func() (err error) {
			p.signal, p.how, p.reason, err = resolve(ctx, p.alert(), p.signal)
			return err
		})
	}
	return all, working.Wait()
}

// alert is the label set as an alert. When it started decides nothing here.
func (s *labelSet) alert() mapping.Alert {
	return mapping.Alert{Labels: s.labels}
}

// lookFor finds the targets that do not exist now, among those that fired last.
func lookFor(ctx context.Context, client *rest.Config, all []*mapped, w io.Writer) ([]finding, error) {
	look, err := newLookup(client)
	if err != nil {
		return nil, err
	}
	// The label sets of each target, by rule. Targets that burned last come first.
	last := map[mapping.Target]map[string]int64{}
	var targets []mapping.Target
	skipped, elsewhere := 0, 0
	for _, p := range byLast(all) {
		t, name := p.signal.Target, p.labels["alertname"]
		switch {
		case p.reason != 0 || path(t) == "":
			continue
		case p.signal.Cluster != "": // It is empty for this cluster.
			elsewhere++
			continue
		case last[t] == nil && len(targets) == maxLookups:
			skipped++
			continue
		case last[t] == nil:
			last[t] = map[string]int64{}
			targets = append(targets, t)
		}
		last[t][name] = max(last[t][name], p.last())
	}
	said, err := look.all(ctx, targets)
	if err != nil {
		return nil, err
	}
	missing, looked, refused := map[string][]gone{}, map[string]int{}, 0
	for _, t := range targets {
		if said[t] == forbidden {
			refused++
			continue
		}
		for name, at := range last[t] {
			looked[name]++
			if said[t] == absent {
				missing[name] = append(missing[name], gone{target(t), at})
			}
		}
	}
	note := func(n int, why string) {
		if n > 0 {
			fmt.Fprintf(w, "onefire: %s not looked for: %s\n", many(n, "target"), why)
		}
	}
	note(skipped, fmt.Sprintf("only the %d that fired last are", maxLookups))
	note(elsewhere, "their label cluster is not CLUSTER_NAME")
	note(refused, "these credentials may not get them, or the API server does not have their kind")
	return aboutMissing(missing, looked), nil
}
