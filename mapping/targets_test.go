package mapping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func parsed(t *testing.T, rules, labels string) Rules {
	t.Helper()
	r, err := ParseTargetRules(rules)
	require.NoError(t, err)
	l, err := ParseTargetLabels(labels)
	require.NoError(t, err)
	again, err := ParseTargetRules(r.String())
	require.NoError(t, err, "what is printed can be read")
	require.Equal(t, r.String(), again.String())
	return Rules{Targets: Targets{Rules: r, Labels: l}}
}

func TestOperatorsSayWhatAlertsAreAbout(t *testing.T) {
	rules := parsed(t, `
		{alertname=~"CertManager.*",name!=""} kind=Certificate api_version=cert-manager.io/v1 name=$name namespace=$exported_namespace;
		{alertname="Quoted; }"} kind=Pod name=$pod ;
		{team="db"} kind=StatefulSet name=postgres namespace=data; {team="db"} kind=Pod name=never
		; {alertname="Nothing"} kind=Unknown; {job="cr"} kind=$kind name=$name;`, "")
	for reason, row := range map[string]struct {
		labels []string
		want   Target
		chosen string
	}{
		"what labels say": {
			[]string{"alertname", "CertManagerCertExpirySoon", "name", "shop-tls", "exported_namespace", "shop", "namespace", "cert-manager", "pod", "cm-1"},
			Target{"cert-manager.io/v1", "Certificate", "shop-tls", "shop"}, "TARGETS, entry 1"},
		"matchers in quotes": {
			[]string{"alertname", "Quoted; }", "pod", "p", "deployment", "d", "namespace", "n"},
			Target{"v1", "Pod", "p", "n"}, "TARGETS, entry 2"},
		"a text, and the first that fits": {
			[]string{"team", "db", "deployment", "d", "namespace", "n"},
			Target{"apps/v1", "StatefulSet", "postgres", "data"}, "TARGETS, entry 3"},
		"a kind from a label": {
			[]string{"job", "cr", "kind", "HelmRelease", "name", "x"},
			Target{"", "HelmRelease", "x", ""}, "TARGETS, entry 6"},
		"without what names it, an entry does not count": {
			[]string{"job", "cr", "kind", "HelmRelease", "deployment", "d", "namespace", "n"},
			Target{"apps/v1", "Deployment", "d", "n"}, "label deployment"},
		"an alert that fits nothing": {
			[]string{"deployment", "d", "namespace", "n"},
			Target{"apps/v1", "Deployment", "d", "n"}, "label deployment"},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, aim{target: row.want, chosen: row.chosen}, rules.target(Alert{Labels: beside(map[string]string{}, row.labels...)}))
		})
	}
	nothing := rules.target(Alert{Labels: map[string]string{"alertname": "Nothing", "pod": "p"}})
	require.Equal(t, KindUnknown, nothing.target.Kind)
	require.NotEmpty(t, nothing.target.Name)
	require.Equal(t, "TARGETS, entry 5", nothing.chosen)
	said := rules.target(Alert{Labels: map[string]string{"team": "db"}, Annotations: map[string]string{"onefire_kind": "Node", "onefire_name": "n"}})
	require.Equal(t, "Node", said.target.Kind, "the rule's author goes first")
}

func TestWrongTargetRules(t *testing.T) {
	for text, want := range map[string]string{
		`kind=Pod name=$pod`:                         `entry 1: "kind=Pod name=$pod" does not begin with matchers in braces`,
		`{a="b"} kind=Pod name=$pod; {a="b"`:         `entry 2: its matchers: a closing brace or a comma is missing`,
		`{a~"b"} kind=Pod name=$pod`:                 `entry 1: its matchers: `,
		`{a="b"} name=$pod`:                          `entry 1: it has no kind`,
		`{a="b"} kind=Pod`:                           `entry 1: it has no name`,
		`{a="b"} kind=pod name=x`:                    `entry 1: "pod" is not the kind of an object, as Deployment (a label is written $label)`,
		`{a="b"} kind=Pod name=<none>`:               `entry 1: no object can have the name "<none>"`,
		`{a="b"} kind=Pod name=x namespace=A`:        `entry 1: no namespace can have the name "A"`,
		`{a="b"} kind=Pod name=x api_version=/`:      `entry 1: "/" is not an API version, as apps/v1`,
		`{a="b"} kind=Pod name=x colour=red`:         `entry 1: "colour=red" is not one of api_version=, kind=, name= and namespace=`,
		`{a="b"} kind=Pod name=$`:                    `entry 1: "name=$" is not one of`,
		`{a="b"} kind=Pod kind=Pod name=$pod`:        `entry 1: kind is given twice`,
		`{a="b"} kind=Pod name=$pod {b="c"}`:         `entry 1: "{b=\"c\"}" is not one of`,
		`{a="b"} kind=Pod name=$pod;; {} kind=Pod x`: `entry 2: "; {} kind=Pod x" does not begin with matchers`,
	} {
		t.Run(text, func(t *testing.T) {
			_, err := ParseTargetRules(text)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestFurtherNamesOfLabels(t *testing.T) {
	rules := parsed(t, "", "app_pod=Pod, host=Node,ns=namespace,rollout=argoproj.io/v1alpha1/Rollout,gpu=example.com/v1/Gpu/cluster,svc=Service,app=Deployment,sts=apps/v1/StatefulSet,")
	for reason, row := range map[string]struct {
		labels []string
		want   Target
	}{
		"another name of pods":               {[]string{"app_pod", "p", "ns", "shop"}, Target{"v1", "Pod", "p", "shop"}},
		"of nodes":                           {[]string{"host", "n1"}, Target{"v1", "Node", "n1", ""}},
		"of services":                        {[]string{"svc", "s", "namespace", "shop"}, Target{"v1", "Service", "s", "shop"}},
		"of a built-in kind":                 {[]string{"app", "a", "namespace", "shop"}, Target{"apps/v1", "Deployment", "a", "shop"}},
		"of a built-in kind, with a version": {[]string{"sts", "a", "namespace", "shop"}, Target{"apps/v1", "StatefulSet", "a", "shop"}},
		"another kind":                       {[]string{"rollout", "r", "namespace", "shop"}, Target{"argoproj.io/v1alpha1", "Rollout", "r", "shop"}},
		"another kind without a namespace":   {[]string{"gpu", "g", "namespace", "shop"}, Target{"example.com/v1", "Gpu", "g", ""}},
		"renamed by Prometheus":              {[]string{"exported_rollout", "r", "rollout", "x", "namespace", "shop"}, Target{"argoproj.io/v1alpha1", "Rollout", "r", "shop"}},
		"before the built-in ones":           {[]string{"rollout", "r", "deployment", "d", "namespace", "b", "ns", "shop"}, Target{"argoproj.io/v1alpha1", "Rollout", "r", "shop"}},
		"the built-in ones stay":             {[]string{"deployment", "d", "namespace", "shop"}, Target{"apps/v1", "Deployment", "d", "shop"}},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, rules.target(Alert{Labels: beside(map[string]string{}, row.labels...)}).target)
		})
	}
	require.Equal(t, Target{"v1", "Pod", "p", "shop"}, targetOf(map[string]string{"pod": "p", "namespace": "shop", "rollout": "r"}), "the built-in table is as it was")
}

func TestWrongTargetLabels(t *testing.T) {
	for text, want := range map[string]string{
		"pod":                   `"pod" is not of the form label=Kind or label=group/version/Kind`,
		"a=Pod,=Pod":            `"=Pod" is not of the form`,
		"a=Pod,b=":              `"b=" is not of the form`,
		"a=Rollout":             `"a=Rollout": a kind that is not built in is written group/version/Kind, as argoproj.io/v1alpha1/Rollout`,
		"a=argoproj.io/Rollout": `"a=argoproj.io/Rollout": a kind that is not built in`,
		"a=x/v1/rollout":        `"a=x/v1/rollout": a kind`,
		"a=x/y/v1/Rollout":      `"a=x/y/v1/Rollout": a kind`,
	} {
		t.Run(text, func(t *testing.T) {
			_, err := ParseTargetLabels(text)
			require.ErrorContains(t, err, want)
		})
	}
}
