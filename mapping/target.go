package mapping

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Target is the Kubernetes object that an alert is about.
type Target struct {
	APIVersion string
	Kind       string
	Name       string
	// Namespace is empty for what is cluster-scoped and where none is known.
	Namespace string
}

// KindUnknown is the kind of a target that is no Kubernetes object. Its name is
// the alert's own identity, so that two nodes known only by instance stay two.
const KindUnknown = "Unknown"

// aim is a target and how it was found.
type aim struct {
	target Target
	// chosen names the rule that chose it; empty where no object could be read.
	chosen string
	// host is the pod that runs on the node that the alert is about, where the
	// labels name the pod and not the node.
	host Target
}

// target reads the object that an alert is about: what burns, not who reports it.
// The first rule that finds one wins.
func (r Rules) target(a Alert) aim {
	l := labels{a.Labels, r.Targets.names()}
	for _, rule := range [...]func() aim{
		func() aim { return l.saidByAuthor(a.Annotations) },
		func() aim { return r.Targets.saidByOperator(l) },
		l.workload,
		l.customResource,
		l.machine,
		l.podOrNode,
		l.service,
	} {
		found := rule()
		switch {
		case found.target.Kind == KindUnknown:
			found.target = r.unknown(l)
			return found
		case found.target.Kind != "":
			return found
		}
	}
	return aim{target: r.unknown(l)}
}

// unknown is the target of an alert that names no object.
func (r Rules) unknown(l labels) Target {
	namespace, _ := l.namespace()
	identity := l.identity(r.Targets.Ignored)
	if r.ofThisCluster(identity) {
		delete(identity, r.ClusterLabel)
	}
	return Target{Kind: KindUnknown, Name: LabelsID(identity), Namespace: namespace}
}

// labels are an alert's, with the names by which they are read.
type labels struct {
	values map[string]string
	names  *labelNames
}

// name reads an object's name: the first label that has one which Kubernetes
// could give. renamed tells that Prometheus had renamed the label to exported_X,
// because the scrape target had an X of its own.
func (l labels) name(names []labelName) (value string, from labelName, renamed bool) {
	for _, n := range names {
		if value = l.values[n.exported]; isName(value) {
			return value, n, true
		}
		if value = l.values[n.plain]; isName(value) {
			return value, n, false
		}
	}
	return "", labelName{}, false
}

func (l labels) namespace() (value string, renamed bool) {
	for _, n := range l.names.namespace {
		if value = l.values[n.exported]; isNamespace(value) {
			return value, true
		}
		if value = l.values[n.plain]; isNamespace(value) {
			return value, false
		}
	}
	return "", false
}

// object is a target of a kind in the table, in the alert's own namespace.
func (l labels) object(k kind, name string) Target {
	t := Target{APIVersion: k.apiVersion, Kind: k.kind, Name: name}
	if !k.clusterScoped {
		t.Namespace, _ = l.namespace()
	}
	return t
}

// The rule's author names the target in these labels or annotations.
const (
	authorsKind       = "onefire_kind"
	authorsName       = "onefire_name"
	authorsNamespace  = "onefire_namespace"
	authorsAPIVersion = "onefire_api_version"
)

// saidByAuthor takes the word of who wrote the alert rule. A kind without a name
// that an object can have says nothing.
func (l labels) saidByAuthor(annotations map[string]string) aim {
	for _, from := range [...]struct {
		what   string
		values map[string]string
	}{{"label ", l.values}, {"annotation ", annotations}} {
		said := from.values
		if t := l.said(said[authorsAPIVersion], said[authorsKind], said[authorsName], said[authorsNamespace]); t.Kind != "" {
			return aim{target: t, chosen: from.what + authorsKind}
		}
	}
	return aim{}
}

// said is the target that a person named; empty where Kubernetes could not have
// it. For the kinds of the table, the API version and the namespace may be left
// out.
func (l labels) said(apiVersion, kind, name, namespace string) Target {
	if kind == KindUnknown {
		return Target{Kind: KindUnknown}
	}
	k, known := kinds[kind]
	if !isKind(kind) || !isPathSegment(name) || known && !isName(name) {
		return Target{}
	}
	t := Target{Kind: kind, Name: name}
	if isAPIVersion(apiVersion) {
		t.APIVersion = apiVersion
	}
	if isNamespace(namespace) {
		t.Namespace = namespace
	}
	if known && (t.APIVersion == "" || t.APIVersion == k.apiVersion) {
		t.APIVersion = k.apiVersion
		if t.Namespace == "" || k.clusterScoped {
			t.Namespace = l.object(k, name).Namespace
		}
	}
	return t
}

// workload reads the labels that name an object and that no scrape adds.
func (l labels) workload() aim {
	for _, s := range l.names.subjects {
		value, from, _ := l.name(s.names)
		if value == "" {
			continue
		}
		t := l.object(s.kind, value)
		if namespace := l.values[from.namespace]; from.namespace != "" && isNamespace(namespace) {
			t.Namespace = namespace
		}
		return aim{target: t, chosen: "label " + from.plain}
	}
	name, kind := l.values["workload"], workloadTypes[strings.ToLower(l.values["workload_type"])]
	if kind == "" || !isName(name) {
		return aim{}
	}
	return aim{target: l.object(kinds[kind], name), chosen: "labels workload, workload_type"}
}

// customResource reads what kube-state-metrics says of custom resources.
func (l labels) customResource() aim {
	kind := l.values["customresource_kind"]
	name, _, _ := l.name(l.names.name)
	if !isKind(kind) || name == "" {
		return aim{}
	}
	t := Target{Kind: kind, Name: name}
	t.Namespace, _ = l.namespace()
	if version := l.values["customresource_group"] + "/" + l.values["customresource_version"]; isAPIVersion(version) {
		t.APIVersion = version
	}
	return aim{target: t, chosen: "labels customresource_kind, name"}
}

// machine reads what node-exporter says of its node: the label node, else an
// instance that is a node's name, else the node on which its pod runs.
func (l labels) machine() aim {
	if l.reporter() != nodeExporter {
		return aim{}
	}
	instance := l.values["instance"]
	nodeName, nodeFrom, _ := l.name(l.names.node)
	podName, _, _ := l.name(l.names.pod)
	switch {
	case nodeName != "":
		return aim{target: l.object(node, nodeName), chosen: "node-exporter: label " + nodeFrom.plain}
	case isName(instance) && !isAddress(instance):
		return aim{target: l.object(node, instance), chosen: "node-exporter: label instance"}
	case podName != "":
		return aim{target: Target{Kind: KindUnknown}, host: l.object(pod, podName)}
	case instance != "":
		return aim{target: Target{Kind: KindUnknown}}
	}
	return aim{} // All of its instances are meant, as in TargetDown.
}

// podOrNode reads pod and node, which a scrape adds too: then they are the
// reporter's, and what else is there is the subject.
func (l labels) podOrNode() aim {
	podName, podFrom, renamed := l.name(l.names.pod)
	nodeName, nodeFrom, _ := l.name(l.names.node)
	elsewhere := podName != "" && !renamed && l.subjectIsElsewhere()
	if podName != "" && !elsewhere {
		_, _, exportedService := l.name(l.names.service)
		another := nodeName != "" || exportedService
		if renamed || !another || !l.isReporters(podName) {
			return aim{target: l.object(pod, podName), chosen: "label " + podFrom.plain}
		}
	}
	if nodeName != "" {
		return aim{target: l.object(node, nodeName), chosen: "label " + nodeFrom.plain}
	}
	return aim{}
}

// service reads a Service. With an instance or a pod beside it, the label is the
// scrape target's and would fold all nodes of an exporter into one.
func (l labels) service() aim {
	name, _, renamed := l.name(l.names.service)
	podName, _, _ := l.name(l.names.pod)
	if name == "" || !renamed && (l.values["instance"] != "" || podName != "") {
		return aim{}
	}
	return aim{target: l.object(service, name), chosen: "label service"}
}

// isName tells whether most kinds of objects can have a name. Templates print
// <no value> for a label that is not there, and absent() keeps the regular
// expressions of its selector.
func isName(s string) bool { return s != "" && len(validation.IsDNS1123Subdomain(s)) == 0 }

func isNamespace(s string) bool { return s != "" && len(validation.IsDNS1123Label(s)) == 0 }

// isKind tells whether a text has the form of a kind.
func isKind(s string) bool {
	return s != "" && len(s) <= validation.DNS1123LabelMaxLength && 'A' <= s[0] && s[0] <= 'Z' &&
		strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// isAPIVersion tells whether a text has the form version or group/version.
func isAPIVersion(s string) bool {
	group, version, grouped := strings.Cut(s, "/")
	if !grouped {
		group, version = "v1", s
	}
	return len(s) <= maxName && isName(group) && isNamespace(version)
}

// isPathSegment tells whether any kind of object can have a name: some, like a
// ClusterRole, may have colons and capitals.
func isPathSegment(s string) bool {
	return s != "" && len(s) <= maxName && s != "." && s != ".." &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/%<>", r) })
}

// isAddress tells whether a text is an IPv4 address; one of IPv6 is no name.
func isAddress(s string) bool { return strings.Trim(s, "0123456789.") == "" }
