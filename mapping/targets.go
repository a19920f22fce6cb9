package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Targets are the configured rules for the target of an alert. The zero value has
// none: the built-in ones decide.
type Targets struct {
	// Rules go before the built-in ones.
	Rules TargetRules
	// Labels are further names of labels.
	Labels TargetLabels
	// Ignored are labels that tell no two alerts without an object apart.
	Ignored []string
}

func (t Targets) names() *labelNames {
	if t.Labels.names == nil {
		return &builtinNames
	}
	return t.Labels.names
}

// saidByOperator takes the target of the first rule that fits, if the alert has
// what the rule takes the name from.
func (t Targets) saidByOperator(l labels) aim {
	for i, rule := range t.Rules {
		if !rule.matchers.match(l.values) {
			continue
		}
		said := map[string]string{}
		for field, value := range rule.fields {
			if label, ok := strings.CutPrefix(value, "$"); ok {
				value = l.values[label]
			}
			said[field] = value
		}
		if found := l.said(said["api_version"], said["kind"], said["name"], said["namespace"]); found.Kind != "" {
			return aim{target: found, chosen: fmt.Sprintf("TARGETS, entry %d", i+1)}
		}
	}
	return aim{}
}

// TargetRules say what alerts are about, the first that fits.
type TargetRules []targetRule

// targetRule is one entry of TARGETS.
type targetRule struct {
	matchers Matchers
	// fields are the target's: a text, or $label for what a label says.
	fields map[string]string
}

// targetFields are the fields of a target, in the order in which they are written.
var targetFields = []string{"api_version", "kind", "name", "namespace"}

// ParseTargetRules reads entries with semicolons between them, each of them
// matchers in braces and what the alerts that fit are about, as in
//
//	{alertname=~"CertManager.*"} api_version=cert-manager.io/v1 kind=Certificate name=$name namespace=$exported_namespace
//
// where $label stands for what a label says. kind is required, and name unless
// the kind is Unknown. An entry's error has its number. The empty string gives none.
func ParseTargetRules(s string) (TargetRules, error) {
	var all TargetRules
	for n := 1; strings.TrimSpace(s) != ""; n++ {
		rule, rest, err := parseTargetRule(s)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", n, err)
		}
		all, s = append(all, rule), rest
	}
	return all, nil
}

// parseTargetRule reads an entry and returns what follows it.
func parseTargetRule(s string) (rule targetRule, rest string, err error) {
	text := &matcherText{s}
	if !strings.HasPrefix(strings.TrimSpace(s), "{") {
		return rule, "", fmt.Errorf(`%q does not begin with matchers in braces, as {alertname="DiskFull"}`, strings.TrimSpace(s))
	}
	if rule.matchers, err = text.group(); err != nil {
		return rule, "", fmt.Errorf("its matchers: %w", err)
	}
	fields, rest, _ := strings.Cut(text.rest, ";")
	rule.fields = map[string]string{}
	for word := range strings.FieldsSeq(fields) {
		field, value, _ := strings.Cut(word, "=")
		_, twice := rule.fields[field]
		switch {
		case !slices.Contains(targetFields, field) || value == "" || value == "$":
			return rule, "", fmt.Errorf("%q is not one of api_version=, kind=, name= and namespace= with a text or a $label", word)
		case twice:
			return rule, "", fmt.Errorf("%s is given twice", field)
		}
		rule.fields[field] = value
	}
	return rule, rest, rule.check()
}

// check says what no alert could make a target of.
func (r targetRule) check() error {
	kind, name := r.fields["kind"], r.fields["name"]
	switch {
	case kind == "":
		return errors.New("it has no kind")
	case kind[0] != '$' && !isKind(kind):
		return fmt.Errorf("%q is not the kind of an object, as Deployment (a label is written $label)", kind)
	case name == "" && kind != KindUnknown:
		return errors.New("it has no name")
	case name != "" && name[0] != '$' && !isPathSegment(name):
		return fmt.Errorf("no object can have the name %q", name)
	}
	if version := r.fields["api_version"]; version != "" && version[0] != '$' && !isAPIVersion(version) {
		return fmt.Errorf("%q is not an API version, as apps/v1", version)
	}
	if namespace := r.fields["namespace"]; namespace != "" && namespace[0] != '$' && !isNamespace(namespace) {
		return fmt.Errorf("no namespace can have the name %q", namespace)
	}
	return nil
}

// String is the form that [ParseTargetRules] reads.
func (t TargetRules) String() string {
	entries := make([]string, len(t))
	for i, rule := range t {
		words := []string{rule.matchers.String()}
		if len(rule.matchers) == 0 {
			words[0] = "{}"
		}
		for _, field := range targetFields {
			if value, ok := rule.fields[field]; ok {
				words = append(words, field+"="+value)
			}
		}
		entries[i] = strings.Join(words, " ")
	}
	return strings.Join(entries, "; ")
}

// TargetLabels are further names of labels that name objects.
type TargetLabels struct {
	text  string
	names *labelNames
}

// clusterScopedMark ends the kind of what has no namespace.
const clusterScopedMark = "/cluster"

// ParseTargetLabels reads "k8s_pod=Pod,rollout=argoproj.io/v1alpha1/Rollout": the
// label, and the kind that it names. The built-in kinds need no API version; a
// kind without a namespace ends in /cluster. A label of namespaces is written
// team_namespace=namespace. An error names the entry. These labels are read before
// the built-in ones. The empty string gives none.
func ParseTargetLabels(s string) (TargetLabels, error) {
	names, t := builtinNames, TargetLabels{text: s}
	var subjects []subject
	var namespaces, pods, nodes, services []labelName
	for entry := range strings.SplitSeq(s, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		label, of, _ := strings.Cut(entry, "=")
		if label == "" || of == "" {
			return t, fmt.Errorf("%q is not of the form label=Kind or label=group/version/Kind", entry)
		}
		label, of = strings.TrimSpace(label), strings.TrimSpace(of)
		own := named(label)
		if of == "namespace" {
			namespaces = append(namespaces, own...)
			continue
		}
		k, err := parseKind(of)
		if err != nil {
			return t, fmt.Errorf("%q: %w", entry, err)
		}
		switch k {
		case pod:
			pods = append(pods, own...)
		case node:
			nodes = append(nodes, own...)
		case service:
			services = append(services, own...)
		default:
			subjects = append(subjects, subject{own, k})
		}
	}
	names.subjects = append(subjects, names.subjects...)
	names.namespace = append(namespaces, names.namespace...)
	names.pod = append(pods, names.pod...)
	names.node = append(nodes, names.node...)
	names.service = append(services, names.service...)
	t.names = &names
	return t, nil
}

// parseKind reads Kind, version/Kind or group/version/Kind.
func parseKind(s string) (kind, error) {
	if k, ok := kinds[s]; ok {
		return k, nil
	}
	name, clusterScoped := strings.CutSuffix(s, clusterScopedMark)
	version := ""
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		version, name = name[:i], name[i+1:]
	}
	if !isAPIVersion(version) || !isKind(name) {
		return kind{}, errors.New("a kind that is not built in is written group/version/Kind, as argoproj.io/v1alpha1/Rollout")
	}
	if k, ok := kinds[name]; ok && k.apiVersion == version {
		return k, nil
	}
	return kind{apiVersion: version, kind: name, clusterScoped: clusterScoped}, nil
}

// String is the form that [ParseTargetLabels] reads.
func (t TargetLabels) String() string { return t.text }
