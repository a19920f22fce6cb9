package verify

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"
)

// referenceProblems are names that nothing has, and selectors that select
// something else than they mean.
func referenceProblems(all objects, v variant) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	need := func(who, kind, name string) {
		if _, ok := all[kind+" "+name]; !ok {
			wrong("%s: there is no %s %s", who, kind, name)
		}
	}
	needRef := func(who string, r *duckv1.KReference) {
		switch {
		case r == nil:
			wrong("%s: nothing is referred to", who)
		case r.Namespace != "" && r.Namespace != "onefire":
			// Somebody else's.
		case r.APIVersion == "serving.knative.dev/v1":
			need(who, "Knative"+r.Kind, r.Name)
		default:
			need(who, r.Kind, r.Name)
		}
	}
	running, err := pods(all)
	if err != nil {
		return []string{err.Error()}
	}
	for name, p := range running {
		need(name, "ServiceAccount", p.Spec.ServiceAccountName)
		if p.Spec.ServiceAccountName != name {
			wrong("%s runs as %s", name, p.Spec.ServiceAccountName)
		}
	}
	for _, b := range every[*rbacv1.RoleBinding](all) {
		if b.RoleRef.Name != storageClient { // Kubernaut's own: see foreignRights.
			need("RoleBinding "+b.Name, b.RoleRef.Kind, b.RoleRef.Name)
		}
		for _, s := range b.Subjects {
			need("RoleBinding "+b.Name, s.Kind, s.Name)
		}
	}
	for _, b := range every[*rbacv1.ClusterRoleBinding](all) {
		need("ClusterRoleBinding "+b.Name, b.RoleRef.Kind, b.RoleRef.Name)
		for _, s := range b.Subjects {
			need("ClusterRoleBinding "+b.Name, s.Kind, s.Name)
		}
	}
	for _, b := range every[*eventingv1.Broker](all) {
		needRef("Broker "+b.Name, b.Spec.Config)
	}
	for _, tr := range every[*eventingv1.Trigger](all) {
		need("Trigger "+tr.Name, "Broker", tr.Spec.Broker)
		needRef("Trigger "+tr.Name, tr.Spec.Subscriber.Ref)
		if tr.Spec.Delivery == nil || tr.Spec.Delivery.DeadLetterSink == nil {
			wrong("Trigger %s has no dead-letter sink", tr.Name)
			continue
		}
		needRef("Trigger "+tr.Name, tr.Spec.Delivery.DeadLetterSink.Ref)
	}
	for _, b := range every[*sourcesv1.SinkBinding](all) {
		s := b.Spec.Subject
		needRef("SinkBinding "+b.Name, &duckv1.KReference{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name, APIVersion: s.APIVersion})
		needRef("SinkBinding "+b.Name, b.Spec.Sink.Ref)
	}
	if _, ok := named[*sourcesv1.SinkBinding](all, "onefire-source"); ok == v.has(unserved) {
		wrong("the source has a SinkBinding: %t", ok)
	}
	return append(found, selectorProblems(all, running, v)...)
}

// selectorProblems: a Service, a Deployment and a disruption budget each mean
// the pods of their own name, and no others.
func selectorProblems(all objects, running map[string]pod, v variant) []string {
	var found []string
	means := func(who, name string, selector labels.Selector) {
		for other, p := range running {
			if selector.Matches(labels.Set(p.Labels)) != (other == name) {
				found = append(found, fmt.Sprintf("%s: wrong about the pods of %s", who, other))
			}
		}
	}
	for _, s := range every[*corev1.Service](all) {
		means("Service "+s.Name, s.Name, labels.SelectorFromSet(s.Spec.Selector))
		for _, port := range s.Spec.Ports {
			// Which of the two the source has, fileProblems knows.
			if port.Port != 80 && s.Name != "onefire-source" || portOf(running[s.Name].user, port.TargetPort) != listen {
				found = append(found, fmt.Sprintf("Service %s: not from 80 to %d", s.Name, listen))
			}
		}
	}
	parse := func(who string, s *metav1.LabelSelector) labels.Selector {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			found = append(found, who+": "+err.Error())
			return labels.Nothing()
		}
		return selector
	}
	for _, d := range every[*appsv1.Deployment](all) {
		means("Deployment "+d.Name, d.Name, parse("Deployment "+d.Name, d.Spec.Selector))
		for _, spread := range d.Spec.Template.Spec.TopologySpreadConstraints {
			means("the spreading of "+d.Name, d.Name, parse("the spreading of "+d.Name, spread.LabelSelector))
		}
	}
	for _, b := range every[*policyv1.PodDisruptionBudget](all) {
		means("PodDisruptionBudget "+b.Name, b.Name, parse("PodDisruptionBudget "+b.Name, b.Spec.Selector))
	}
	for _, name := range []string{"onefire-source", map[bool]string{false: "onefire-deadletters", true: "onefire"}[v.has(unserved)]} {
		if _, ok := named[*corev1.Service](all, name); !ok {
			found = append(found, "there is no Service "+name)
		}
	}
	for _, name := range []string{"onefire-source", "onefire"} {
		if _, ok := named[*policyv1.PodDisruptionBudget](all, name); ok != (v.has(unserved) || name == "onefire-source") {
			found = append(found, fmt.Sprintf("a drained node may take all of %s: there is a budget: %t", name, ok))
		}
	}
	return found
}
