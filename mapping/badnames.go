package mapping

import "slices"

// BadNames are the labels that could name a Kubernetes object, or its namespace,
// and have values that Kubernetes could not give; sorted. [Rules.Signal] passes
// them over, so that another label names the target, or none.
func (r Rules) BadNames(labels map[string]string) []string {
	names := r.Targets.names()
	var bad []string
	note := func(all []labelName, is func(string) bool) {
		for _, n := range all {
			for _, label := range []string{n.plain, n.exported} {
				if value := labels[label]; value != "" && !is(value) && !slices.Contains(bad, label) {
					bad = append(bad, label)
				}
			}
		}
	}
	for _, s := range names.subjects {
		note(s.names, isName)
	}
	for _, all := range [][]labelName{names.pod, names.node, names.service} {
		note(all, isName)
	}
	note(names.namespace, isNamespace)
	slices.Sort(bad)
	return bad
}
